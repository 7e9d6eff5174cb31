package migrate

import (
	"context"
	"time"

	"k8s.io/utils/ptr"
)

// epochDecided is the epoch of every command after the decision, whichever way it went.
const epochDecided = 2

// commit has no effect but the write of its condition, which the controller makes by resource version: the point of no
// return. A migration that was asked to roll back meanwhile fails that write.
func commit(_ context.Context, r *run) (time.Duration, error) {
	r.m.Status.Epoch = epochDecided
	return 0, nil
}

// commitToStandIn also says, in the same write, that the pod which the set will make starts closed.
func commitToStandIn(ctx context.Context, r *run) (time.Duration, error) {
	r.m.Status.StandIn = ptr.To(r.m.Status.Target)
	return commit(ctx, r)
}

// commitToSuccessor also says, in the same write, that a pod of the set is an ordinary one again.
func commitToSuccessor(ctx context.Context, r *run) (time.Duration, error) {
	r.m.Status.StandIn = nil
	return commit(ctx, r)
}
