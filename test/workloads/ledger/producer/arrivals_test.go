package producer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pace lets a clock run without ever being late and returns the mean interval and how much intervals differ.
func pace(t *testing.T, arrivals Arrivals, rate float64, n int) (mean time.Duration, varied bool) {
	t.Helper()
	c, err := newClock(arrivals, rate)
	require.NoError(t, err)
	begin := time.Unix(1000, 0)
	now := begin
	var first time.Duration
	for i := range n {
		wait := c.advance(now)
		if i == 0 {
			first = wait
		}
		varied = varied || wait != first
		now = now.Add(wait)
	}
	return now.Sub(begin) / time.Duration(n), varied
}

func TestArrivalsKeepTheRate(t *testing.T) {
	mean, varied := pace(t, Constant, 50, 1000)
	require.Equal(t, 20*time.Millisecond, mean)
	require.False(t, varied)

	mean, varied = pace(t, Poisson, 50, 100_000)
	require.InEpsilon(t, 20*time.Millisecond, mean, 0.05)
	require.True(t, varied)
}

func TestArrivalsCatchUpForAShortTimeOnly(t *testing.T) {
	c, err := newClock(Constant, 10)
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	require.Equal(t, 100*time.Millisecond, c.advance(now))
	require.Negative(t, c.advance(now.Add(500*time.Millisecond)), "half a second late is made up for")
	require.Equal(t, 100*time.Millisecond, c.advance(now.Add(time.Minute)), "a minute is not")
}

func TestArrivalsRefuseNonsense(t *testing.T) {
	_, err := newClock(Constant, 0)
	require.ErrorContains(t, err, "not above zero")
	_, err = newClock("bursts", 1)
	require.ErrorContains(t, err, `"bursts"`)
}

func TestCountIsSharedOut(t *testing.T) {
	g, err := New(Options{Producers: 3, Rate: 1, Arrivals: Constant, Count: 8})
	require.NoError(t, err)
	total := 0
	for _, m := range g.members {
		total += m.quota
	}
	require.Equal(t, 8, total)
}
