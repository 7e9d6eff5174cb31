package migrate

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
)

// fenceBound is how long the target's activation may be delayed by a source that does not answer.
const fenceBound = time.Second

// activateTarget fences the source, consumes the tickets and lets the target's gate consume the primary queue.
func activateTarget(ctx context.Context, r *run) (time.Duration, error) {
	target, err := r.pod(ctx, r.m.Status.Target)
	if err != nil {
		return 0, err
	}
	if target == nil || target.DeletionTimestamp != nil || ended(target) {
		// It was deleted after the commit, as any pod may be. Its owner makes another once the source is gone.
		return 0, nil
	}
	fenceSource(ctx, r)
	// The tickets go first: were the app to end between the two, it could otherwise never start again.
	err = r.eachTicket(ctx, "committing", func(n Node, ctx context.Context, podUID, container string) error {
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

// fenceSource closes the source for good. One that cannot be reached is left to the next try: handed over, it consumes
// nothing and is not active, and only a command of the epoch before the commit, which its gate will not obey any more,
// could wake it.
func fenceSource(ctx context.Context, r *run) {
	ctx, cancel := context.WithTimeout(ctx, fenceBound)
	defer cancel()
	_, gate, err := r.source(ctx)
	if err == nil {
		err = gate.Fence(ctx, r.command())
	}
	if err != nil {
		log.FromContext(ctx).Info("Source not fenced, it stays held", "pod", r.m.Status.Source.Pod, "error", err.Error())
	}
}
