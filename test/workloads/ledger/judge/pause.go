package judge

import (
	"slices"
	"time"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// Pause is a time in which a message waited for longer than is natural and none was processed. It begins when the
// message should have been done.
type Pause struct {
	From, To time.Time
	// Natural is the median of all waits: what one message takes.
	Natural time.Duration
}

// Duration of the pause.
func (p Pause) Duration() time.Duration { return p.To.Sub(p.From) }

// LongestPause returns the longest pause that overlaps the window. A silence without a message to process is no pause:
// a wait begins with the output before or, if that is later, with the sending of the message that ends it. Repeated
// outputs and outputs for unknown messages end no wait.
func LongestPause(outputs []Output, accounts []chain.Account, from, to time.Time) Pause {
	waits := waits(outputs, accounts)
	var longest wait
	for _, w := range waits {
		if w.from.Before(to) && w.to.After(from) && w.duration() > longest.duration() {
			longest = w
		}
	}
	natural := median(waits)
	return Pause{From: longest.from.Add(min(natural, longest.duration())), To: longest.to, Natural: natural}
}

// wait of a message while nothing else was processed.
type wait struct{ from, to time.Time }

func (w wait) duration() time.Duration { return w.to.Sub(w.from) }

// waits returns the wait of each message processed, but the first.
func waits(outputs []Output, accounts []chain.Account) []wait {
	sent := map[string][]chain.Sent{}
	for _, a := range accounts {
		sent[a.Producer] = a.Sent
	}
	seen := map[string]bool{}
	var before time.Time
	var waits []wait
	for _, o := range outputs {
		messages := sent[o.Producer]
		if o.Sequence == 0 || o.Sequence > uint64(len(messages)) || seen[o.ID()] {
			continue
		}
		seen[o.ID()] = true
		begin := messages[o.Sequence-1].At
		if before.After(begin) {
			begin = before
		}
		if !before.IsZero() {
			waits = append(waits, wait{from: begin, to: o.Arrived})
		}
		before = o.Arrived
	}
	return waits
}

func median(waits []wait) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	durations := make([]time.Duration, 0, len(waits))
	for _, w := range waits {
		durations = append(durations, w.duration())
	}
	slices.Sort(durations)
	return durations[len(durations)/2]
}
