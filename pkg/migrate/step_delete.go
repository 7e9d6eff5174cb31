package migrate

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// deleteSource deletes the superseded source and waits until it is gone. The guard of a StatefulSet's pod holds until
// the kubelet has confirmed that nothing of it runs, as the set would have waited for.
func deleteSource(ctx context.Context, r *run) (time.Duration, error) {
	gone, err := r.deletePod(ctx, r.m.Status.Source, targetGrace)
	if err != nil || gone {
		return 0, err
	}
	source, err := r.pod(ctx, r.m.Status.Source)
	if err != nil {
		return 0, err
	}
	if source != nil && confirmed(source) {
		return poll, r.setGuard(ctx, controllerutil.RemoveFinalizer)
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
		err = node.DeleteCheckpoints(ctx, r.move())
	}
	if err != nil && r.stepAge() > cleanUpBound {
		log.FromContext(ctx).Error(err, "Archives left to the agent's janitor", "node", r.m.Status.Source.Node)
		return 0, nil
	}
	return 0, err
}
