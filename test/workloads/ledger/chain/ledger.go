package chain

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxDetails bounds the violations described in a State; all are counted.
const maxDetails = 50

// State of a ledger, as served over HTTP.
type State struct {
	// Instance is drawn at random when the process starts, so that a fresh start is told from a restored copy.
	Instance string    `json:"instance"`
	Started  time.Time `json:"started"`
	// Count and Chain are over all messages applied.
	Count     uint64              `json:"count"`
	Chain     Digest              `json:"chain"`
	Producers map[string]Progress `json:"producers"`
	// RedeliveredSkipped were duplicates that the broker had flagged as redelivered.
	RedeliveredSkipped uint64 `json:"redeliveredSkipped"`
	// ResentSkipped were duplicates that a producer had flagged as sent again for want of a confirm.
	ResentSkipped uint64     `json:"resentSkipped"`
	Violations    Violations `json:"violations"`
	Memory        *Memory    `json:"memory,omitempty"`
}

// Progress of one producer's messages through the ledger.
type Progress struct {
	Count uint64 `json:"count"`
	// Last is the highest sequence applied.
	Last  uint64 `json:"last"`
	Chain Digest `json:"chain"`
	// Missing are the sequences below Last that were never applied.
	Missing []Range `json:"missing,omitempty"`
}

// Range of sequences, both ends included.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Violations of "every message once, in order".
type Violations struct {
	// Duplicates were applied a second time: nothing flagged them.
	Duplicates uint64 `json:"duplicates"`
	// Gaps in the sequence when they were met; a later message may have filled one, as a reorder.
	Gaps uint64 `json:"gaps"`
	// Reorders came after a later message of the same producer.
	Reorders uint64 `json:"reorders"`
	// Malformed were no messages of a producer.
	Malformed uint64 `json:"malformed"`
	// Details of the first ones, in words.
	Details []string `json:"details,omitempty"`
}

// Arrival is a delivered message.
type Arrival struct {
	Message
	Digest Digest
	// Redelivered is the broker's flag, Resent the producer's: only with one of them may a duplicate be skipped.
	Redelivered bool
	Resent      bool
}

// Ledger is the deterministic state machine. It is not safe for concurrent use.
type Ledger struct {
	state State
}

// NewLedger returns an empty ledger.
func NewLedger(instance string, started time.Time) *Ledger {
	return &Ledger{state: State{Instance: instance, Started: started, Producers: map[string]Progress{}}}
}

// State returns a copy.
func (l *Ledger) State() State {
	s := l.state
	s.Producers = maps.Clone(s.Producers)
	for name, p := range s.Producers {
		p.Missing = slices.Clone(p.Missing)
		s.Producers[name] = p
	}
	s.Violations.Details = slices.Clone(s.Violations.Details)
	return s
}

// Apply applies a message and returns its output, or false when the message is an excused duplicate.
// A duplicate that nothing excuses is applied, as an ordinary consumer would, and reported as a violation.
func (l *Ledger) Apply(a Arrival) (Output, bool) {
	p := l.state.Producers[a.Producer]
	missing := indexOf(p.Missing, a.Sequence)
	switch {
	case a.Sequence > p.Last+1:
		l.violate(&l.state.Violations.Gaps, "gap: %s came after %s/%d", a.ID(), a.Producer, p.Last)
		p.Missing = append(p.Missing, Range{From: p.Last + 1, To: a.Sequence - 1})
	case a.Sequence == p.Last+1:
	case missing >= 0:
		l.violate(&l.state.Violations.Reorders, "reorder: %s came after %s/%d", a.ID(), a.Producer, p.Last)
		p.Missing = without(p.Missing, missing, a.Sequence)
	case a.Redelivered:
		l.state.RedeliveredSkipped++
		return Output{}, false
	case a.Resent:
		l.state.ResentSkipped++
		return Output{}, false
	default:
		l.violate(&l.state.Violations.Duplicates, "duplicate: %s came again after %s/%d, not flagged as redelivered",
			a.ID(), a.Producer, p.Last)
	}
	p.Count++
	p.Last = max(p.Last, a.Sequence)
	p.Chain = p.Chain.Link(a.Digest)
	l.state.Producers[a.Producer] = p
	l.state.Count++
	l.state.Chain = l.state.Chain.Link(a.Digest)
	return Output{
		Producer: a.Producer, Sequence: a.Sequence,
		Count: l.state.Count, Chain: l.state.Chain, Instance: l.state.Instance,
	}, true
}

// Malformed records a delivery that is no message of a producer.
func (l *Ledger) Malformed(err error) {
	l.violate(&l.state.Violations.Malformed, "malformed: %v", err)
}

func (l *Ledger) violate(counter *uint64, format string, args ...any) {
	*counter++
	if v := &l.state.Violations; len(v.Details) < maxDetails {
		v.Details = append(v.Details, fmt.Sprintf(format, args...))
	}
}

// MissingCount returns how many sequences below Last were never applied.
func (p Progress) MissingCount() uint64 {
	var n uint64
	for _, r := range p.Missing {
		n += r.To - r.From + 1
	}
	return n
}

func indexOf(ranges []Range, sequence uint64) int {
	return slices.IndexFunc(ranges, func(r Range) bool { return r.From <= sequence && sequence <= r.To })
}

// without returns the ranges less one sequence of range i, which may split it.
func without(ranges []Range, i int, sequence uint64) []Range {
	var rest []Range
	if r := ranges[i]; r.From < sequence {
		rest = append(rest, Range{From: r.From, To: sequence - 1})
	}
	if r := ranges[i]; sequence < r.To {
		rest = append(rest, Range{From: sequence + 1, To: r.To})
	}
	return slices.Concat(ranges[:i], rest, ranges[i+1:])
}
