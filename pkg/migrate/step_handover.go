package migrate

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// handOver ends the source's consumption with END in the log, and waits until the target has replayed to it and verified
// it. The source stays held and can be taken back, and is when that takes too long.
func handOver(ctx context.Context, r *run) (time.Duration, error) {
	_, gate, err := r.source(ctx)
	if err != nil {
		return 0, err
	}
	bound := r.m.Spec.MaxPause.Duration + r.m.Spec.Cutoff.MaxReplay.Duration
	// The gate itself waits without end for an app that does not acknowledge what it has.
	within, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	switch err := gate.HandOver(within, r.command()); {
	case err != nil && ctx.Err() == nil && within.Err() != nil:
		return 0, fail("HandOverTooLong", "the app has not come to rest within maxPause and maxReplay together, %s", bound)
	case err != nil:
		return 0, gateFailure("handing over", err)
	}
	source, target, err := r.observeReplay(ctx)
	if err != nil {
		return 0, err
	}
	if source.HeldSince != nil {
		held := metav1.NewMicroTime(*source.HeldSince)
		r.m.Status.HandOverHeldSince = &held
	}
	if target.Mode == control.ModeReplayed {
		return 0, nil
	}
	if held := r.m.Status.HandOverHeldSince; held != nil && r.clock.Now().Sub(held.Time) > bound {
		return 0, fail("HandOverTooLong", "the target has not replayed the rest of the log within maxPause and maxReplay together, %s: %d of %d entries, %d consumers",
			bound, target.Replayed, source.Logged, target.Consumers)
	}
	return poll, nil
}
