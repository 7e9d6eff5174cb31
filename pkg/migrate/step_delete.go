package migrate

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
)

// deleteSource deletes the superseded source and waits until it is gone.
func deleteSource(ctx context.Context, r *run) (time.Duration, error) {
	gone, err := r.deletePod(ctx, r.m.Status.Source, targetGrace)
	if err != nil || gone {
		return 0, err
	}
	return poll, nil
}

// cleanUpBound is how long cleaning up is tried before it is left to the janitor of the node.
const cleanUpBound = 30 * time.Second

// cleanUp removes what the migration leaves on the source's node; the gate of the target has deleted the log. A node that
// has died does not keep a migration from its end.
func cleanUp(ctx context.Context, r *run) (time.Duration, error) {
	node, _, err := r.source(ctx)
	if err == nil {
		err = node.DeleteCheckpoints(ctx, r.uid())
	}
	if err != nil && r.stepAge() > cleanUpBound {
		log.FromContext(ctx).Error(err, "Archives left to the agent's janitor", "node", r.m.Status.Source.Node)
		return 0, nil
	}
	return 0, err
}
