package migrate

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
)

// activateTarget fences the source, consumes the tickets and lets the target's gate consume the primary queue. A source
// that cannot be reached does not delay the target: handed over, it consumes nothing, and only a command of the epoch
// before the commit, which its gate may not get any more, could wake it.
func activateTarget(ctx context.Context, r *run) (time.Duration, error) {
	if _, gate, err := r.source(ctx); err != nil {
		log.FromContext(ctx).Error(err, "Source not fenced, it stays held", "pod", r.m.Status.Source.Pod)
	} else if err := gate.Fence(ctx, r.command()); err != nil {
		log.FromContext(ctx).Error(err, "Source not fenced, it stays held", "pod", r.m.Status.Source.Pod)
	}
	// The tickets go first: were the app to end between the two, it could otherwise never start again.
	err := r.eachTicket(ctx, "committing", func(n Node, ctx context.Context, podUID, container string) error {
		_, err := n.CommitTicket(ctx, podUID, container)
		return err
	})
	if err != nil {
		return 0, err
	}
	_, gate, err := r.target(ctx)
	if err != nil {
		return 0, err
	}
	if err := gate.Commit(ctx, r.command()); err != nil {
		return 0, fmt.Errorf("activating the target: %w", err)
	}
	if held := r.m.Status.HandOverHeldSince; held != nil {
		r.paused(held.Time, r.clock.Now())
	}
	return 0, nil
}
