package judge

import (
	"fmt"
	"time"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// maxReasons bounds the evidence of one kind in a Verdict.
const maxReasons = 5

// Output as the judge received it.
type Output struct {
	chain.Output
	Arrived time.Time
	// Resent is the ledger's flag: it sent the output again because the first sending was never confirmed.
	Resent bool
}

// Evidence is all that a verdict rests on.
type Evidence struct {
	// Base is the ledger's state before the accounts' first message; its zero value is an empty ledger.
	Base chain.State
	// Accounts of all producers since Base.
	Accounts []chain.Account
	// Outputs since Base in order of arrival. Those for State's messages must be among them.
	Outputs []Output
	State   chain.State
	// Memory that State must show, if any.
	Memory *chain.Memory
	// Final: State must cover everything sent. Else only what is below the last sequence that State knows of each
	// producer is judged, so that a verdict can be had while messages flow.
	Final bool
}

// Verdict on a ledger.
type Verdict struct {
	Published          uint64 `json:"published"`
	Processed          uint64 `json:"processed"`
	Lost               uint64 `json:"lost"`
	Duplicated         uint64 `json:"duplicated"`
	Reordered          uint64 `json:"reordered"`
	OutputsDuplicated  uint64 `json:"outputsDuplicated"`
	OutputsLost        uint64 `json:"outputsLost"`
	OutputsWrong       uint64 `json:"outputsWrong"`
	OutputsResent      uint64 `json:"outputsResent"`
	RedeliveredSkipped uint64 `json:"redeliveredSkipped"`
	ResentSkipped      uint64 `json:"resentSkipped"`
	// StateEqual: the state, its chains and all that its outputs said of it are what the producers' accounts demand.
	StateEqual bool `json:"stateEqual"`
	// Reasons are the evidence, in words, for everything that is not as it should be.
	Reasons []string `json:"reasons,omitempty"`
}

// Exact tells whether every message was applied once, in order, with its output published once.
func (v Verdict) Exact() bool {
	return v.StateEqual && v.Lost+v.Duplicated+v.Reordered+v.OutputsDuplicated+v.OutputsLost+v.OutputsWrong == 0
}

// Undisturbed tells whether, in addition, nothing had to be excused by a flag: so must it be in a run in which neither
// the ledger nor a producer lost its connection with a message on its way.
func (v Verdict) Undisturbed() bool {
	return v.Exact() && v.OutputsResent+v.RedeliveredSkipped+v.ResentSkipped == 0
}

// Assess judges. It is a function of the evidence alone.
func Assess(e Evidence) Verdict {
	a := assessment{Evidence: e, accounts: map[string]chain.Account{}}
	for _, account := range e.Accounts {
		a.accounts[account.Producer] = account
	}
	a.verdict.StateEqual = true
	a.assessProducers()
	a.assessViolations()
	end := a.assessOutputs()
	a.assessChain(end)
	a.assessMemory()
	return a.verdict
}

type assessment struct {
	Evidence
	accounts map[string]chain.Account
	verdict  Verdict
}

// covered returns how many of the account's messages the state must have seen.
func (a *assessment) covered(account chain.Account) uint64 {
	sent := uint64(len(account.Sent))
	if a.Final {
		return sent
	}
	return min(sent, a.State.Producers[account.Producer].Last)
}

// assessProducers compares each producer's chain with the ledger's of that producer.
func (a *assessment) assessProducers() {
	for name := range a.State.Producers {
		_, known := a.accounts[name]
		if _, before := a.Base.Producers[name]; !known && !before {
			a.unequal("the state knows producer %s, which is none of the judge's", name)
		}
	}
	for _, account := range a.Accounts {
		progress := a.State.Producers[account.Producer]
		covered := a.covered(account)
		a.verdict.Published += covered
		if lost := covered - min(covered, progress.Last) + progress.MissingCount(); lost > 0 {
			a.verdict.Lost += lost
			a.unequal("%d of %d messages of %s are not in the state: it has seen %d, the last is %d, missing %s",
				lost, covered, account.Producer, progress.Count, progress.Last, ranges(progress.Missing))
		}
		a.assessProducerChain(account, progress)
	}
	a.verdict.Processed = a.State.Count - min(a.State.Count, a.Base.Count)
	if a.verdict.Processed != a.verdict.Published {
		a.unequal("the state counts %d messages, the producers sent %d", a.verdict.Processed, a.verdict.Published)
	}
}

func (a *assessment) assessProducerChain(account chain.Account, progress chain.Progress) {
	if progress.Last > uint64(len(account.Sent)) {
		a.unequal("the state knows message %s/%d, which was never sent", account.Producer, progress.Last)
		return
	}
	var want chain.Digest
	if progress.Last > 0 {
		want = account.Sent[progress.Last-1].Chain
	}
	if progress.Chain != want {
		a.unequal("the state's chain of %s at %d is %s, the producer's %s",
			account.Producer, progress.Last, progress.Chain.Short(), want.Short())
	}
}

// assessViolations takes over what the ledger itself saw go wrong.
func (a *assessment) assessViolations() {
	now, before := a.State.Violations, a.Base.Violations
	a.verdict.Duplicated = now.Duplicates - min(now.Duplicates, before.Duplicates)
	a.verdict.Reordered = now.Reorders - min(now.Reorders, before.Reorders)
	a.verdict.RedeliveredSkipped = a.State.RedeliveredSkipped - min(a.State.RedeliveredSkipped, a.Base.RedeliveredSkipped)
	a.verdict.ResentSkipped = a.State.ResentSkipped - min(a.State.ResentSkipped, a.Base.ResentSkipped)
	if now.Malformed > before.Malformed {
		a.unequal("the ledger met %d malformed messages", now.Malformed-before.Malformed)
	}
	details := now.Details[min(len(before.Details), len(now.Details)):]
	for _, detail := range details[:min(maxReasons, len(details))] {
		a.unequal("the ledger reports: %s", detail)
	}
}

// assessChain compares the state's chain with the one recomputed from the outputs and, if there is but one producer,
// with the producer's own.
func (a *assessment) assessChain(end tip) {
	if tail := a.State.Count - min(a.State.Count, end.count); tail > 0 && tail <= a.verdict.OutputsLost {
		a.note("the last outputs are lost, so the state's order over all producers is known up to count %d only", end.count)
	} else if a.State.Count != end.count || a.State.Chain != end.chain {
		a.unequal("the state's chain is %s at %d, recomputed from the order of the outputs it is %s at %d",
			a.State.Chain.Short(), a.State.Count, end.chain.Short(), end.count)
	}
	if len(a.Accounts) != 1 || a.Base.Count > 0 {
		return
	}
	if sent := a.Accounts[0].Sent; a.State.Count > 0 && a.State.Count <= uint64(len(sent)) {
		if want := sent[a.State.Count-1].Chain; a.State.Chain != want {
			a.unequal("the state's chain at %d is %s, the only producer's %s", a.State.Count, a.State.Chain.Short(), want.Short())
		}
	}
}

func (a *assessment) assessMemory() {
	switch {
	case a.Memory == nil:
	case a.State.Memory == nil:
		a.unequal("the state does not show its memory")
	case *a.State.Memory != *a.Memory:
		a.unequal("the checksum of %d MiB of memory is %s instead of %s",
			a.State.Memory.Mebibytes, a.State.Memory.Checksum.Short(), a.Memory.Checksum.Short())
	}
}

// unequal records a reason why the state is not what it should be.
func (a *assessment) unequal(format string, args ...any) {
	a.verdict.StateEqual = false
	a.note(format, args...)
}

func (a *assessment) note(format string, args ...any) {
	a.verdict.Reasons = append(a.verdict.Reasons, fmt.Sprintf(format, args...))
}

// count adds to a counter of the verdict and gives the reason, the first times.
func (a *assessment) count(counter *uint64, format string, args ...any) {
	*counter++
	switch {
	case *counter <= maxReasons:
		a.note(format, args...)
	case *counter == maxReasons+1:
		a.note("… and more of this kind")
	}
}

func ranges(missing []chain.Range) string {
	if len(missing) == 0 {
		return "nothing before it"
	}
	text := fmt.Sprintf("%d to %d", missing[0].From, missing[0].To)
	if n := len(missing) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more ranges", n)
	}
	return text
}
