package migrateunderload

import (
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// What a migration takes, as measured (docs/fcc.md): the archive is about as large as the app's memory, and time goes
// with its size.
const (
	mebibyte = 1 << 20
	// fixedSeconds are those that do not depend on the size: scheduling, sandbox, hand-over, the end of the source.
	fixedSeconds = 3
	// freezeSeconds per MiB, for which the app stands still at the checkpoint.
	freezeSeconds = 0.008
	// deliverySeconds per MiB, to transfer and restore the archive, in which the source goes on.
	deliverySeconds = 0.006
	// pauseWeight: a second without processing is as dear as so many of a migration in the background.
	pauseWeight = 10
	// maxUtilisation λ/μ that is reckoned with; closer to 1 the target would never catch up, and the cutoff ends it.
	maxUtilisation = 0.9
	// unknownBytes of memory are assumed of a pod that neither was measured nor requests any.
	unknownBytes = 256 * mebibyte
)

// cost predicts what moving a pod costs, in seconds of a migration in the background: the time until the target has
// caught up, T/(1-λ/μ) with T until it is ready, and the pause at the checkpoint with its weight. bytes is the pod's
// memory, and replay tells of the last migration into it, nil when there was none.
func cost(bytes float64, replay *v1alpha1.ReplayStatus) float64 {
	size := bytes / mebibyte
	pause := size * freezeSeconds
	ready := fixedSeconds + pause + size*deliverySeconds
	return ready/(1-utilisation(replay)) + pauseWeight*pause
}

// utilisation is λ/μ as far as it is known, 0 when not.
func utilisation(replay *v1alpha1.ReplayStatus) float64 {
	if replay == nil || replay.LambdaMilli <= 0 || replay.MuMilli <= 0 {
		return 0
	}
	return min(float64(replay.LambdaMilli)/float64(replay.MuMilli), maxUtilisation)
}
