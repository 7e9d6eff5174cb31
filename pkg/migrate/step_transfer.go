package migrate

import (
	"context"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
)

// transfer streams the archives from agent to agent; the target's agent unpacks them while they come and makes the
// tickets ready.
func transfer(ctx context.Context, r *run) (time.Duration, error) {
	from, _, err := r.source(ctx)
	if err != nil {
		return 0, err
	}
	to, _, err := r.target(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range r.m.Status.Containers {
		delivery, err := from.Deliver(ctx, client.DeliveryRequest{
			Migration: r.move(), Container: c, Address: to.Address(),
			SourceUID: string(r.m.Status.Source.UID), TargetUID: string(r.m.Status.Target.UID),
		})
		if err != nil {
			return 0, agentFailure("delivering archive of container "+c, err)
		}
		r.m.Status.Checkpoint.Digest = delivery.Digest
	}
	return 0, nil
}
