package judge

import (
	"slices"
	"time"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// Pause is the longest time in which a message waited and none was processed.
type Pause struct {
	From, To time.Time
	// Natural is the median of such times without any disturbance: what one message takes.
	Natural time.Duration
}

// Duration beyond what is natural.
func (p Pause) Duration() time.Duration { return max(0, p.To.Sub(p.From)-p.Natural) }

// LongestPause returns the longest pause that overlaps the window. A silence without a message to process is no pause:
// a wait begins with the output before or, if that is later, with the sending of the message that ends it. Repeated
// outputs and outputs for unknown messages end no wait.
func LongestPause(outputs []Output, accounts []chain.Account, from, to time.Time) Pause {
	waits := waits(outputs, accounts)
	longest := Pause{Natural: natural(waits)}
	for _, w := range waits {
		if w.From.Before(to) && w.To.After(from) && w.To.Sub(w.From) > longest.To.Sub(longest.From) {
			longest.From, longest.To = w.From, w.To
		}
	}
	return longest
}

// waits returns for each message processed, but the first, how long it waited while nothing else was processed.
func waits(outputs []Output, accounts []chain.Account) []Pause {
	sent := map[string][]chain.Sent{}
	for _, a := range accounts {
		sent[a.Producer] = a.Sent
	}
	seen := map[string]bool{}
	var before time.Time
	var waits []Pause
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
			waits = append(waits, Pause{From: begin, To: o.Arrived})
		}
		before = o.Arrived
	}
	return waits
}

func natural(waits []Pause) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	durations := make([]time.Duration, 0, len(waits))
	for _, w := range waits {
		durations = append(durations, w.To.Sub(w.From))
	}
	slices.Sort(durations)
	return durations[len(durations)/2]
}
