package judge

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// check runs property on drawn histories.
func check(t *testing.T, property func(t *rapid.T, r *run)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) { property(t, drawRun(t)) })
}

func TestVerdictOnAnUndisturbedRunIsExact(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		v := Assess(r.process())
		require.True(t, v.Undisturbed(), "%+v", v)
		require.Empty(t, v.Reasons)
		require.Equal(t, uint64(len(r.arrivals)), v.Published)
		require.Equal(t, v.Published, v.Processed)
	})
}

func TestVerdictMayBeHadAtAnyMoment(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		whole := r.process()
		moment := rapid.IntRange(0, len(r.arrivals)).Draw(t, "moment")
		ledger := chain.NewLedger("first", r.begin)
		r.feed(ledger, r.arrivals[:moment])
		whole.State, whole.Final = ledger.State(), false
		v := Assess(whole)
		require.True(t, v.Undisturbed(), "%+v", v)
		require.Equal(t, uint64(moment), v.Processed)
		require.Equal(t, uint64(moment), v.Published)
	})
}

func TestVerdictBuildsOnABase(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		ledger := chain.NewLedger("first", r.begin)
		r.feed(ledger, []chain.Arrival{
			{Message: chain.Message{Producer: "earlier", Sequence: 1}},
			{Message: chain.Message{Producer: "earlier", Sequence: 9}},
			{Message: chain.Message{Producer: "earlier", Sequence: 9}},
		})
		base := ledger.State()
		outputs := r.feed(ledger, r.arrivals)
		v := Assess(Evidence{Base: base, Accounts: r.accounts, Outputs: outputs, State: ledger.State(), Final: true})
		require.True(t, v.Undisturbed(), "%+v", v)
		require.Equal(t, uint64(len(r.arrivals)), v.Processed)
	})
}

func TestVerdictExcusesFlaggedDuplicates(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		i := r.pick(t)
		again := r.arrivals[i]
		again.Redelivered = true
		r.arrivals = slices.Insert(r.arrivals, i+1, again)
		e := r.process()
		repeat := e.Outputs[i]
		repeat.Resent = true
		e.Outputs = slices.Insert(e.Outputs, i+1, repeat)
		v := Assess(e)
		require.True(t, v.Exact(), "%+v", v)
		require.False(t, v.Undisturbed())
		require.Equal(t, uint64(1), v.RedeliveredSkipped)
		require.Equal(t, uint64(1), v.OutputsResent)
	})
}

func TestVerdictCatchesALoss(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		// The first and the last message, too.
		i := rapid.IntRange(0, len(r.arrivals)-1).Draw(t, "victim")
		r.arrivals = slices.Delete(r.arrivals, i, i+1)
		v := Assess(r.process())
		require.Equal(t, uint64(1), v.Lost)
		require.Equal(t, uint64(1), v.OutputsLost)
		requireUnequal(t, v)
	})
}

func TestVerdictCatchesADuplicate(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		i := r.pick(t)
		j := rapid.IntRange(i+1, len(r.arrivals)).Draw(t, "again at")
		r.arrivals = slices.Insert(r.arrivals, j, r.arrivals[i])
		v := Assess(r.process())
		require.Equal(t, uint64(1), v.Duplicated)
		require.Equal(t, uint64(1), v.OutputsDuplicated)
		require.Zero(t, v.Lost)
		requireUnequal(t, v)
	})
}

func TestVerdictCatchesAReorder(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		r.send(0)
		last := len(r.arrivals) - 1
		r.send(0)
		r.arrivals[last], r.arrivals[last+1] = r.arrivals[last+1], r.arrivals[last]
		v := Assess(r.process())
		require.Equal(t, uint64(1), v.Reordered)
		require.Zero(t, v.Lost)
		require.Zero(t, v.Duplicated)
		requireUnequal(t, v)
	})
}

// Two producers' messages may come in any order, but the outputs must tell the order in which the state took them.
func TestVerdictCatchesAnOrderThatTheOutputsDoNotTell(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		r.accounts = append(r.accounts, chain.Account{Producer: "other", Complete: true})
		r.send(0)
		r.send(len(r.accounts) - 1)
		e := r.process()
		last := len(r.arrivals) - 1
		r.arrivals[last], r.arrivals[last-1] = r.arrivals[last-1], r.arrivals[last]
		e.State = r.process().State
		v := Assess(e)
		require.Zero(t, v.Lost+v.Duplicated+v.Reordered)
		requireUnequal(t, v)
	})
}

func TestVerdictCatchesALostOutput(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		e := r.process()
		i := rapid.IntRange(0, len(e.Outputs)-1).Draw(t, "victim")
		e.Outputs = slices.Delete(e.Outputs, i, i+1)
		v := Assess(e)
		require.Equal(t, uint64(1), v.OutputsLost)
		require.Zero(t, v.Lost)
		require.True(t, v.StateEqual, "the state itself is right: %q", v.Reasons)
		require.False(t, v.Exact())
		require.NotEmpty(t, v.Reasons)
	})
}

func TestVerdictCatchesADuplicatedOutput(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		e := r.process()
		i := rapid.IntRange(0, len(e.Outputs)-1).Draw(t, "victim")
		j := rapid.IntRange(i+1, len(e.Outputs)).Draw(t, "again at")
		e.Outputs = slices.Insert(e.Outputs, j, e.Outputs[i])
		v := Assess(e)
		require.Equal(t, uint64(1), v.OutputsDuplicated)
		require.True(t, v.StateEqual)
		require.False(t, v.Exact())
		require.NotEmpty(t, v.Reasons)
	})
}

func TestVerdictCatchesAResentOutputThatDiffers(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		e := r.process()
		i := r.pick(t)
		repeat := e.Outputs[i]
		repeat.Resent, repeat.Instance = true, "second"
		e.Outputs = slices.Insert(e.Outputs, i+1, repeat)
		require.Equal(t, uint64(1), Assess(e).OutputsDuplicated)
	})
}

func TestVerdictCatchesAReorderedOutput(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		r.send(0)
		r.send(0)
		e := r.process()
		last := len(e.Outputs) - 1
		e.Outputs[last], e.Outputs[last-1] = e.Outputs[last-1], e.Outputs[last]
		v := Assess(e)
		require.Equal(t, uint64(1), v.Reordered)
		require.False(t, v.Exact())
	})
}

func TestVerdictCatchesAWrongOutput(t *testing.T) {
	spoil := map[string]func(*Output){
		"chain":    func(o *Output) { o.Chain[7] ^= 1 },
		"count":    func(o *Output) { o.Count-- },
		"producer": func(o *Output) { o.Producer = "nobody" },
		"sequence": func(o *Output) { o.Sequence = 1000 },
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			check(t, func(t *rapid.T, r *run) {
				e := r.process()
				spoil(&e.Outputs[r.pick(t)])
				v := Assess(e)
				require.NotZero(t, v.OutputsWrong)
				requireUnequal(t, v)
			})
		})
	}
}

func TestVerdictCatchesACorruptedState(t *testing.T) {
	spoil := map[string]func(*chain.State){
		"chain": func(s *chain.State) { s.Chain[0] ^= 1 },
		"count": func(s *chain.State) { s.Count++ },
		"producer's chain": func(s *chain.State) {
			for name, p := range s.Producers {
				p.Chain[0] ^= 1
				s.Producers[name] = p
			}
		},
		"sequence never sent": func(s *chain.State) {
			for name, p := range s.Producers {
				p.Last++
				s.Producers[name] = p
			}
		},
		"unknown producer": func(s *chain.State) { s.Producers["nobody"] = chain.Progress{Last: 1} },
		"malformed":        func(s *chain.State) { s.Violations.Malformed++ },
		"no memory":        func(s *chain.State) { s.Memory = nil },
		"memory":           func(s *chain.State) { s.Memory.Checksum[0] ^= 1 },
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			check(t, func(t *rapid.T, r *run) {
				e := r.process()
				e.Memory = &chain.Memory{Mebibytes: 64, Checksum: chain.Digest{9}}
				e.State.Memory = &chain.Memory{Mebibytes: 64, Checksum: chain.Digest{9}}
				require.True(t, Assess(e).Exact())
				spoil(&e.State)
				requireUnequal(t, Assess(e))
			})
		})
	}
}

// Started afresh in the middle: what was applied before is gone from the state, though every message was processed.
func TestVerdictCatchesAFreshStart(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		i := r.pick(t)
		outputs := r.feed(chain.NewLedger("first", r.begin), r.arrivals[:i])
		second := chain.NewLedger("second", r.begin)
		outputs = append(outputs, r.feed(second, r.arrivals[i:])...)
		v := Assess(Evidence{Accounts: r.accounts, Outputs: outputs, State: second.State(), Final: true})
		require.Equal(t, uint64(i), v.Lost)
		require.Equal(t, uint64(1), v.OutputsWrong)
		require.Zero(t, v.OutputsLost)
		requireUnequal(t, v)
	})
}

// Two instances at work on one queue: each has a part, neither the whole.
func TestVerdictCatchesTwoActiveInstances(t *testing.T) {
	check(t, func(t *rapid.T, r *run) {
		one, two := chain.NewLedger("first", r.begin), chain.NewLedger("second", r.begin)
		var outputs []Output
		for i, a := range r.arrivals {
			outputs = append(outputs, r.feed([]*chain.Ledger{one, two}[i%2], []chain.Arrival{a})...)
		}
		v := Assess(Evidence{Accounts: r.accounts, Outputs: outputs, State: one.State(), Final: true})
		require.NotZero(t, v.Lost)
		requireUnequal(t, v)
	})
}

func requireUnequal(t require.TestingT, v Verdict) {
	require.False(t, v.StateEqual, "%+v", v)
	require.False(t, v.Exact())
	require.NotEmpty(t, v.Reasons, "evidence in words")
}
