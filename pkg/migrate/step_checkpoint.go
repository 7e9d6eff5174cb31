package migrate

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// Bounds of the first hold.
const (
	// drainBound is how long the app may take to come between two messages.
	drainBound = 5 * time.Second
	// cutBound is how long a cut token lives: the longest time that a checkpoint may hold up the source, whatever
	// becomes of the controller and the agents meanwhile.
	cutBound = 30 * time.Second
)

// checkpoint takes the cut: the source stands between two messages while all its containers are checkpointed, then goes
// on, logging. The token is stored before the checkpoint begins; a checkpoint counts only when the release finds the
// token of its own hold still valid.
func checkpoint(ctx context.Context, r *run) (time.Duration, error) {
	node, gate, err := r.source(ctx)
	if err != nil {
		return 0, err
	}
	if r.m.Status.Cut == nil {
		hold := control.HoldRequest{
			Command: r.command(), DrainMillis: drainBound.Milliseconds(), ValidMillis: cutBound.Milliseconds(), Log: r.log(),
		}
		cut, err := gate.Hold(ctx, hold)
		if err != nil {
			return 0, gateFailure("holding the source", err)
		}
		r.m.Status.Cut = &v1alpha1.CutStatus{
			Token: cut.Token, HeldSince: metav1.NewMicroTime(cut.HeldSince), Expires: metav1.NewMicroTime(cut.Expires),
		}
		return time.Millisecond, nil
	}
	var bytes int64
	for _, c := range r.m.Status.Containers {
		done, err := node.Checkpoint(ctx, client.CheckpointRequest{
			Migration: r.move(), Namespace: r.m.Namespace, Pod: r.m.Status.Source.Pod, PodUID: string(r.m.Status.Source.UID), Container: c,
		})
		if err != nil {
			return 0, fail("CheckpointFailed", "checkpointing container %s: %w", c, err)
		}
		bytes += done.Bytes
	}
	release := control.ReleaseRequest{Command: r.command(), Token: r.m.Status.Cut.Token, Log: r.log()}
	if err := gate.Release(ctx, release); err != nil {
		return 0, gateFailure("releasing the source", err)
	}
	released := r.microNow()
	r.m.Status.Cut.Released = &released
	r.m.Status.Checkpoint = &v1alpha1.CheckpointStatus{ArchiveBytes: bytes}
	r.paused(r.m.Status.Cut.HeldSince.Time, released.Time)
	return 0, nil
}

// paused keeps the longest pause.
func (r *run) paused(from, to time.Time) {
	r.m.Status.PauseMillis = max(r.m.Status.PauseMillis, to.Sub(from).Milliseconds())
}

// resumeSource takes the source back, from whatever hold it is in, and removes its archives. It undoes the checkpoint
// and the hand-over alike.
func resumeSource(ctx context.Context, r *run) (time.Duration, error) {
	pod, err := r.pod(ctx, r.m.Status.Source)
	if err != nil {
		return 0, err
	}
	gone := pod == nil || ended(pod) || confirmed(pod)
	node, gate, err := r.source(ctx)
	if err != nil {
		if gone {
			return 0, nil // nothing is left to resume, and the archives are left to the janitor of the node
		}
		return 0, err
	}
	if !gone {
		if err := gate.Resume(ctx, r.command()); err != nil {
			return 0, fmt.Errorf("resuming the source: %w", err)
		}
	}
	if err := node.DeleteCheckpoints(ctx, r.move()); err != nil && !gone {
		return 0, fmt.Errorf("deleting archives: %w", err)
	}
	return 0, nil
}
