package migrate

import (
	"math"
	"time"
)

// replayView is what is known of a replay when it must be decided whether to hand over.
type replayView struct {
	rest   int64   // entries of the log that the target has not processed
	lambda float64 // the log's append rate, messages per second
	mu     float64 // the target's service rate, messages per second; 0 while unknown
	age    time.Duration
	// subscribed: the target's app consumes again. Before it nothing can be handed over, whatever the clock says.
	subscribed bool
}

// cutoff is T_cutoff, the time after which accumulation must stop so that the replay of what accumulated stays within
// maxReplay: T_replay = λ·T_accum/μ ≤ maxReplay, hence T_cutoff = maxReplay·μ/λ (threshold-based cutoff; Dinh-Tuan and
// Jiang, "Optimizing Stateful Microservice Migration in Kubernetes with MS2M and Forensic Checkpointing", ICIN 2025).
// Without load there is no bound.
func cutoff(maxReplay time.Duration, lambda, mu float64) time.Duration {
	if lambda <= 0 || mu <= 0 {
		return math.MaxInt64
	}
	t := float64(maxReplay) * mu / lambda
	if t >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(t)
}

// pause predicts how long the replay of the rest takes once nothing is added.
func (v replayView) pause() time.Duration {
	if v.rest <= 0 {
		return 0
	}
	if v.mu <= 0 {
		return math.MaxInt64
	}
	return seconds(float64(v.rest) / v.mu)
}

// catchUp predicts how long the target needs to reach the log's end while it still grows: rest/(μ-λ).
func (v replayView) catchUp() time.Duration {
	if v.rest <= 0 {
		return 0
	}
	if v.mu <= v.lambda {
		return math.MaxInt64
	}
	return seconds(float64(v.rest) / (v.mu - v.lambda))
}

// handOverDue decides when the final hold comes: once the rest can be replayed within maxPause, and at the latest at the
// cutoff, so that a migration also ends when λ ≥ μ. When the target is about to catch up, in a quarter of
// maxPause, that is waited for: it costs little time and makes the pause vanish.
func (v replayView) handOverDue(maxPause, maxReplay time.Duration) bool {
	switch {
	case !v.subscribed:
		return false
	case v.age >= cutoff(maxReplay, v.lambda, v.mu):
		return true
	case v.pause() > maxPause:
		return false
	default:
		// One entry is always under way under load: waiting for fewer would be waiting for luck.
		return v.rest <= 1 || v.catchUp() > maxPause/4
	}
}

func seconds(s float64) time.Duration {
	if s >= float64(math.MaxInt64)/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}
