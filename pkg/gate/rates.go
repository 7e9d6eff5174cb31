package gate

import (
	"math"
	"time"
)

// ratesSpan is the time constant of the estimators: what happened that long ago weighs 1/e.
const ratesSpan = 5 * time.Second

// decayed sums with exponentially fading weights over a clock of its own, which runs only when it is told to.
type decayed struct {
	events, seconds float64
}

// pass lets time pass in which n events happened.
func (d *decayed) pass(t time.Duration, n float64) {
	fade := math.Exp(-t.Seconds() / ratesSpan.Seconds())
	d.events = d.events*fade + n
	d.seconds = d.seconds*fade + t.Seconds()
}

// rate of events per second of the clock; 0 before there is a measurable time.
func (d *decayed) rate() float64 {
	if d.seconds < 1e-3 {
		return 0
	}
	return d.events / d.seconds
}

// rates measures arrivals and service.
//
// λ is the deliveries that the app settles per second. While it keeps up with its queue that is the rate at which
// messages arrive; when it does not, it is μ; in both cases it is the rate at which a log grows. Counting what comes from
// the broker instead would take the filling of the app's prefetch buffer for a rate. The clock stands still while
// deliveries are held and during a replay.
//
// μ is settled deliveries per second in which the app had at least one: the clock stands still while it has none. Unlike
// the mean time from delivery to settlement it is not distorted by deliveries that wait in the app's prefetch buffer.
type rates struct {
	arrivals, service decayed
	arrivalsAt        time.Time // zero while the clock stands still
	serviceAt         time.Time // zero while the app has nothing
}

// start the clock of arrivals.
func (r *rates) start(now time.Time) {
	if r.arrivalsAt.IsZero() {
		r.arrivalsAt = now
	}
}

// stop the clock of arrivals.
func (r *rates) stop(now time.Time) {
	r.arrived(now, 0)
	r.arrivalsAt = time.Time{}
}

// arrived n deliveries, as the app's settling shows.
func (r *rates) arrived(now time.Time, n float64) {
	if r.arrivalsAt.IsZero() {
		return
	}
	r.arrivals.pass(now.Sub(r.arrivalsAt), n)
	r.arrivalsAt = now
}

// served tells that n deliveries were settled and whether the app has more.
func (r *rates) served(now time.Time, n int, busy bool) {
	if !r.serviceAt.IsZero() {
		r.service.pass(now.Sub(r.serviceAt), float64(n))
	}
	r.serviceAt = time.Time{}
	if busy {
		r.serviceAt = now
	}
}

// lambda at the present.
func (r *rates) lambda(now time.Time) float64 {
	r.arrived(now, 0)
	return r.arrivals.rate()
}

// mu at the present.
func (r *rates) mu() float64 { return r.service.rate() }

// quiet is the time after which an app that has deliveries and settles none seems to wait for more of them.
func (r *rates) quiet() time.Duration {
	mu := r.mu()
	if mu == 0 {
		return 100 * time.Millisecond
	}
	return min(max(time.Duration(4/mu*float64(time.Second)), 20*time.Millisecond), 10*time.Second)
}
