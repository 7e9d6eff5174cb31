package migrate

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCutoff(t *testing.T) {
	for _, c := range []struct {
		name       string
		lambda, mu float64
		want       time.Duration
	}{
		{"the source's load is half of what it can serve", 50, 100, 20 * time.Second},
		{"saturated", 100, 100, 10 * time.Second},
		{"overloaded", 200, 100, 5 * time.Second},
		{"no load", 0, 100, math.MaxInt64},
		{"nothing measured", 0, 0, math.MaxInt64},
		{"nearly no load does not overflow", 1e-12, 1e6, math.MaxInt64},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, cutoff(10*time.Second, c.lambda, c.mu))
		})
	}
}

func TestHandOverDue(t *testing.T) {
	const maxPause, maxReplay = time.Second, 10 * time.Second
	for _, c := range []struct {
		name string
		v    replayView
		want bool
	}{
		{"caught up", replayView{rest: 0, lambda: 50, mu: 100, subscribed: true}, true},
		{"caught up but not subscribed", replayView{rest: 0, lambda: 50, mu: 100}, false},
		{"would soon be caught up: wait for it", replayView{rest: 10, lambda: 50, mu: 100, subscribed: true}, false},
		{"short enough, catching up would take long", replayView{rest: 80, lambda: 90, mu: 100, subscribed: true}, true},
		{"too long a pause", replayView{rest: 200, lambda: 90, mu: 100, subscribed: true}, false},
		{"overloaded and short enough", replayView{rest: 80, lambda: 200, mu: 100, subscribed: true}, true},
		{"overloaded, too long, before the cutoff", replayView{rest: 800, lambda: 200, mu: 100, age: 4 * time.Second, subscribed: true}, false},
		{"overloaded, too long, at the cutoff", replayView{rest: 800, lambda: 200, mu: 100, age: 5 * time.Second, subscribed: true}, true},
		{"cutoff passed but not subscribed", replayView{rest: 800, lambda: 200, mu: 100, age: time.Minute}, false},
		{"rest but no rate known", replayView{rest: 5, subscribed: true}, false},
		{"idle", replayView{subscribed: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, c.v.handOverDue(maxPause, maxReplay))
		})
	}
}

// TestHandOverComesInTime: with a subscribed target and a steady load the hand-over is due at the cutoff at the latest,
// and what is accumulated then can be replayed within maxReplay.
func TestHandOverComesInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lambda := rapid.Float64Range(0.1, 1000).Draw(t, "lambda")
		mu := rapid.Float64Range(0.1, 1000).Draw(t, "mu")
		maxReplay := time.Duration(rapid.Int64Range(int64(time.Second), int64(time.Minute)).Draw(t, "maxReplay"))
		at := cutoff(maxReplay, lambda, mu)
		accumulated := lambda * at.Seconds()
		v := replayView{rest: int64(accumulated), lambda: lambda, mu: mu, age: at, subscribed: true}
		require.True(t, v.handOverDue(time.Second, maxReplay))
		require.LessOrEqual(t, v.pause(), maxReplay+time.Millisecond)
	})
}
