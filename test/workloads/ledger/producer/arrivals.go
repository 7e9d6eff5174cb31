package producer

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Arrivals names how messages are spread over time.
type Arrivals string

// The known Arrivals.
const (
	Constant Arrivals = "constant"
	Poisson  Arrivals = "poisson"
)

// maxBehind is how far a producer that was held up catches up; what is older is not made up for.
const maxBehind = time.Second

// clock says when the next message is due.
type clock struct {
	arrivals Arrivals
	mean     time.Duration
	next     time.Time
}

func newClock(arrivals Arrivals, rate float64) (*clock, error) {
	if rate <= 0 {
		return nil, fmt.Errorf("setting the rate: %v messages per second is not above zero", rate)
	}
	if arrivals != Constant && arrivals != Poisson {
		return nil, fmt.Errorf("setting the arrivals: %q is neither %s nor %s", arrivals, Constant, Poisson)
	}
	return &clock{arrivals: arrivals, mean: time.Duration(float64(time.Second) / rate)}, nil
}

// advance returns the wait from now until the message that is due next.
func (c *clock) advance(now time.Time) time.Duration {
	interval := c.mean
	if c.arrivals == Poisson {
		interval = time.Duration(rand.ExpFloat64() * float64(c.mean))
	}
	if c.next.Before(now.Add(-maxBehind)) {
		c.next = now
	}
	c.next = c.next.Add(interval)
	return c.next.Sub(now)
}
