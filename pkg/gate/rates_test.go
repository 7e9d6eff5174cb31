package gate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRates(t *testing.T) {
	var r rates
	now := time.Unix(0, 0)
	r.start(now)
	// 50 messages a second, 5 ms each, for 20 seconds.
	for range 1000 {
		r.served(now, 0, true)
		now = now.Add(5 * time.Millisecond)
		r.served(now, 1, false)
		r.arrived(now, 1)
		now = now.Add(15 * time.Millisecond)
	}
	require.InEpsilon(t, 50, r.lambda(now), 0.05)
	require.InEpsilon(t, 200, r.mu(), 0.05)
	require.Equal(t, 20*time.Millisecond, r.quiet().Round(time.Millisecond))

	r.stop(now)
	now = now.Add(time.Hour)
	require.InEpsilon(t, 50, r.lambda(now), 0.05, "a hold changes nothing")
	r.start(now)
	now = now.Add(time.Minute)
	require.Less(t, r.lambda(now), 0.1, "silence does")
	require.InEpsilon(t, 200, r.mu(), 0.05)
}

// TestRatesOfABacklog: an app that always has something is served as fast as it serves.
func TestRatesOfABacklog(t *testing.T) {
	var r rates
	now := time.Unix(0, 0)
	r.start(now)
	r.served(now, 0, true)
	for range 1000 {
		now = now.Add(5 * time.Millisecond)
		r.served(now, 1, true)
		r.arrived(now, 1)
	}
	require.InEpsilon(t, 200, r.mu(), 0.01)
	require.InEpsilon(t, r.mu(), r.lambda(now), 0.01)
}
