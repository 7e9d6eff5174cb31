package migrate

import (
	"context"
	"fmt"
	"math"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// awaitReplay waits until the rest of the log is short enough for the hand-over, or the cutoff has come.
func awaitReplay(ctx context.Context, r *run) (time.Duration, error) {
	source, target, err := r.observeReplay(ctx)
	if err != nil {
		return 0, err
	}
	v := replayView{
		rest:       int64(source.Logged) - int64(target.Replayed),
		lambda:     source.Lambda,
		mu:         target.Mu,
		age:        r.clock.Now().Sub(r.m.Status.Cut.Released.Time),
		subscribed: target.Consumers >= source.Consumers,
	}
	if v.mu <= 0 {
		v.mu = source.Mu // the target has not served enough to be measured; the same program runs on both
	}
	if t := cutoff(r.m.Spec.Cutoff.MaxReplay.Duration, v.lambda, v.mu); t < math.MaxInt64 {
		r.m.Status.Replay.CutoffMillis = t.Milliseconds()
	}
	if v.handOverDue(r.m.Spec.MaxPause.Duration, r.m.Spec.Cutoff.MaxReplay.Duration) {
		return 0, nil
	}
	return poll, nil
}

// observeReplay reads both gates, keeps the progress in the status, and fails when the replay cannot end exactly.
func (r *run) observeReplay(ctx context.Context) (source, target control.Status, err error) {
	_, sourceGate, err := r.source(ctx)
	if err != nil {
		return source, target, err
	}
	if source, err = sourceGate.Status(ctx); err != nil {
		return source, target, fmt.Errorf("reading the source's gate: %w", err)
	}
	_, targetGate, err := r.target(ctx)
	if err != nil {
		return source, target, err
	}
	if target, err = targetGate.Status(ctx); err != nil {
		return source, target, fmt.Errorf("reading the target's gate: %w", err)
	}
	r.m.Status.Replay = replayStatus(r.m.Status.Replay, source, target)
	if source.Broken != "" {
		return source, target, fail("LogBroken", "the source's gate reports: %s", source.Broken)
	}
	if target.Broken != "" {
		return source, target, fail("ReplayBroken", "the target's gate reports: %s", target.Broken)
	}
	return source, target, r.checkTarget(ctx)
}

func replayStatus(old *v1alpha1.ReplayStatus, source, target control.Status) *v1alpha1.ReplayStatus {
	s := &v1alpha1.ReplayStatus{
		Logged: int64(source.Logged), Replayed: int64(target.Replayed), Suppressed: int64(target.Outputs),
		LambdaMilli: int64(source.Lambda * 1000), MuMilli: int64(source.Mu * 1000),
	}
	if target.Mu > 0 {
		s.MuMilli = int64(target.Mu * 1000)
	}
	if old != nil {
		s.CutoffMillis = old.CutoffMillis
	}
	return s
}
