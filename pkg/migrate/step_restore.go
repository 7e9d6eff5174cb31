package migrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// awaitRestore waits until every container runs from its checkpoint, and lets the gate serve the log, so that an app
// that reconnects at once finds it.
func awaitRestore(ctx context.Context, r *run) (time.Duration, error) {
	node, gate, err := r.target(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range r.m.Status.Containers {
		ticket, err := node.GetTicket(ctx, string(r.m.Status.Target.UID), c)
		if err != nil {
			return 0, fmt.Errorf("reading ticket of container %s: %w", c, err)
		}
		switch ticket.State {
		case fcc.TicketRestored:
		case fcc.TicketFailed:
			return 0, fail("RestoreFailed", "restoring container %s: %s", c, ticket.Reason)
		default:
			return poll, nil
		}
	}
	replay := control.ReplayRequest{Command: r.command(), Log: r.log()}
	if err := gate.Replay(ctx, replay); err != nil {
		return 0, gateFailure("starting the replay", err)
	}
	return 0, nil
}

// checkTarget fails when the target is no longer the restored process: gone, or its container ended. The image must
// never pose as the restored state.
func (r *run) checkTarget(ctx context.Context) error {
	pod, err := r.pod(ctx, r.m.Status.Target)
	if err != nil {
		return err
	}
	if pod == nil || pod.DeletionTimestamp != nil {
		return fail("TargetGone", "target pod %s was deleted by somebody else", r.m.Status.Target.Pod)
	}
	for _, s := range pod.Status.ContainerStatuses {
		if !slices.Contains(r.m.Status.Containers, s.Name) {
			continue
		}
		if s.RestartCount > 0 || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return fail("TargetCrashed", "restored container %s ended before the commit%s", s.Name, exitOf(s))
		}
	}
	return nil
}

func exitOf(s corev1.ContainerStatus) string {
	for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
		if t != nil {
			return fmt.Sprintf(" with exit code %d %s", t.ExitCode, t.Message)
		}
	}
	return ""
}
