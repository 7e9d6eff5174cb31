package chain

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func arrival(producer string, sequence uint64) Arrival {
	m := Message{Producer: producer, Sequence: sequence}
	return Arrival{Message: m, Digest: Envelope{MessageID: m.ID(), Body: m.Body()}.Digest()}
}

func apply(l *Ledger, arrivals ...Arrival) {
	for _, a := range arrivals {
		l.Apply(a)
	}
}

func TestLedgerAgreesWithTheAccountOfItsOnlyProducer(t *testing.T) {
	ledger := NewLedger("i", time.Time{})
	account := Account{Producer: "p"}
	for n := uint64(1); n <= 100; n++ {
		a := arrival("p", n)
		account.Append(a.Digest, time.Time{})
		output, applied := ledger.Apply(a)
		require.True(t, applied)
		require.Equal(t, Output{Producer: "p", Sequence: n, Count: n, Chain: account.Sent[n-1].Chain, Instance: "i"}, output)
	}
	state := ledger.State()
	require.Equal(t, state.Chain, state.Producers["p"].Chain)
	require.Empty(t, state.Violations)
}

func TestLedgerSkipsOnlyFlaggedDuplicates(t *testing.T) {
	flagged := arrival("p", 1)
	flagged.Redelivered = true
	resent := arrival("p", 1)
	resent.Resent = true
	ledger := NewLedger("i", time.Time{})
	apply(ledger, arrival("p", 1), flagged, resent)
	state := ledger.State()
	require.Equal(t, uint64(1), state.Count)
	require.Equal(t, uint64(1), state.RedeliveredSkipped)
	require.Equal(t, uint64(1), state.ResentSkipped)
	require.Zero(t, state.Violations.Duplicates)

	apply(ledger, arrival("p", 1))
	after := ledger.State()
	require.Equal(t, uint64(2), after.Count, "a duplicate that nothing excuses is applied")
	require.Equal(t, uint64(1), after.Violations.Duplicates)
	require.Len(t, after.Violations.Details, 1)
	require.NotEqual(t, state.Chain, after.Chain)
}

func TestLedgerAppliesNewMessagesWhateverTheirFlags(t *testing.T) {
	a := arrival("p", 1)
	a.Redelivered, a.Resent = true, true
	_, applied := NewLedger("i", time.Time{}).Apply(a)
	require.True(t, applied)
}

func TestLedgerReportsGapsAndReorders(t *testing.T) {
	ledger := NewLedger("i", time.Time{})
	apply(ledger, arrival("p", 1), arrival("p", 6), arrival("p", 4))
	state := ledger.State()
	require.Equal(t, uint64(1), state.Violations.Gaps)
	require.Equal(t, uint64(1), state.Violations.Reorders)
	require.Zero(t, state.Violations.Duplicates)
	require.Equal(t, []Range{{2, 3}, {5, 5}}, state.Producers["p"].Missing)
	require.Equal(t, uint64(3), state.Producers["p"].MissingCount())
}

func TestLedgerBoundsDetailsAndCountsAll(t *testing.T) {
	ledger := NewLedger("i", time.Time{})
	for range 3 * maxDetails {
		apply(ledger, arrival("p", 1))
	}
	violations := ledger.State().Violations
	require.Equal(t, uint64(3*maxDetails-1), violations.Duplicates)
	require.Len(t, violations.Details, maxDetails)
}

// Whatever comes, in whatever order: the ranges of missing sequences equal a plain set.
func TestMissingRangesAgreeWithASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ledger := NewLedger("i", time.Time{})
		seen := map[uint64]bool{}
		var last uint64
		for _, n := range rapid.SliceOf(rapid.Uint64Range(1, 30)).Draw(t, "sequences") {
			a := arrival("p", n)
			a.Redelivered = true
			_, applied := ledger.Apply(a)
			require.Equal(t, !seen[n], applied)
			seen[n] = true
			last = max(last, n)
		}
		progress := ledger.State().Producers["p"]
		require.Equal(t, last, progress.Last)
		require.Equal(t, uint64(len(seen)), progress.Count)
		for n := uint64(1); n <= last; n++ {
			require.Equal(t, !seen[n], indexOf(progress.Missing, n) >= 0, "sequence %d", n)
		}
	})
}

func TestStateIsACopy(t *testing.T) {
	ledger := NewLedger("i", time.Time{})
	apply(ledger, arrival("p", 1), arrival("p", 3))
	before := ledger.State()
	apply(ledger, arrival("p", 2), arrival("q", 1))
	require.Equal(t, []Range{{2, 2}}, before.Producers["p"].Missing)
	require.NotContains(t, before.Producers, "q")
}

func TestStateSurvivesJSON(t *testing.T) {
	ledger := NewLedger("i", time.Now().UTC())
	apply(ledger, arrival("p", 1), arrival("p", 3))
	text, err := json.Marshal(ledger.State())
	require.NoError(t, err)
	var back State
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, ledger.State(), back)
}
