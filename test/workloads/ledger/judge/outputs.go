package judge

import "ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"

// tip of the ledger's chain, as its outputs tell it.
type tip struct {
	count    uint64
	chain    chain.Digest
	instance string
}

// assessOutputs recomputes the chain in the order of the outputs, compares what each output says of it, and returns
// where the state must stand.
func (a *assessment) assessOutputs() tip {
	at := tip{count: a.Base.Count, chain: a.Base.Chain, instance: a.Base.Instance}
	first := map[string]Output{}
	last := map[string]uint64{}
	var reordered uint64
	for _, o := range a.Outputs {
		account := a.accounts[o.Producer]
		if o.Sequence == 0 || o.Sequence > uint64(len(account.Sent)) {
			a.count(&a.verdict.OutputsWrong, "an output came for %s, which was never sent", o.ID())
			a.verdict.StateEqual = false
			continue
		}
		if earlier, seen := first[o.ID()]; seen {
			a.assessRepeat(earlier, o)
			continue
		}
		first[o.ID()] = o
		if o.Sequence > a.covered(account) {
			continue
		}
		if o.Sequence < last[o.Producer] {
			a.count(&reordered, "the output for %s came after the one for sequence %d", o.ID(), last[o.Producer])
		}
		last[o.Producer] = max(last[o.Producer], o.Sequence)
		at = a.assessOutput(at, o, account.Sent[o.Sequence-1].Digest)
	}
	a.verdict.Reordered = max(a.verdict.Reordered, reordered)
	a.assessMissingOutputs(first)
	return at
}

// assessRepeat judges an output that came again.
func (a *assessment) assessRepeat(earlier, o Output) {
	if o.Resent && o.Output == earlier.Output {
		a.verdict.OutputsResent++
		return
	}
	a.count(&a.verdict.OutputsDuplicated, "the output for %s came again, first with count %d of instance %s, then %d of %s",
		o.ID(), earlier.Count, earlier.Instance, o.Count, o.Instance)
}

// assessOutput judges the first output for a message and returns the tip after it. Where the count leaps or falls, the
// chain cannot be recomputed and goes on from what the output says: a leap is a loss of outputs, counted elsewhere; a
// fall means that memory went back in time or that two instances publish. The producers' own chains remain as proof.
func (a *assessment) assessOutput(at tip, o Output, entry chain.Digest) tip {
	said := tip{count: o.Count, chain: o.Chain, instance: o.Instance}
	next := tip{count: at.count + 1, chain: at.chain.Link(entry), instance: o.Instance}
	switch {
	case o.Count > next.count:
		return said
	case o.Count < next.count:
		a.count(&a.verdict.OutputsWrong, "the count falls from %d of instance %s to %d of instance %s at the output for %s",
			at.count, at.instance, o.Count, o.Instance, o.ID())
		a.verdict.StateEqual = false
		return said
	case o.Chain != next.chain:
		a.count(&a.verdict.OutputsWrong, "the output for %s says chain %s at %d, recomputed it is %s",
			o.ID(), o.Chain.Short(), o.Count, next.chain.Short())
		a.verdict.StateEqual = false
	}
	return next
}

// assessMissingOutputs counts the messages without an output.
func (a *assessment) assessMissingOutputs(first map[string]Output) {
	for _, account := range a.Accounts {
		for sequence := uint64(1); sequence <= a.covered(account); sequence++ {
			id := chain.Message{Producer: account.Producer, Sequence: sequence}.ID()
			if _, ok := first[id]; !ok {
				a.count(&a.verdict.OutputsLost, "no output came for %s", id)
			}
		}
	}
}
