package judge

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// run is a made-up history of producers and a ledger, with places at which a test can interfere.
type run struct {
	accounts []chain.Account
	arrivals []chain.Arrival
	begin    time.Time
}

// drawRun draws producers and the interleaving of their messages: at least ten messages.
func drawRun(t *rapid.T) *run {
	r := &run{begin: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range rapid.IntRange(1, 4).Draw(t, "producers") {
		r.accounts = append(r.accounts, chain.Account{Producer: fmt.Sprintf("p%d", i+1), Complete: true})
	}
	for range rapid.IntRange(10, 60).Draw(t, "messages") {
		r.send(rapid.IntRange(0, len(r.accounts)-1).Draw(t, "producer"))
	}
	return r
}

func (r *run) send(producer int) {
	account := &r.accounts[producer]
	m := chain.Message{Producer: account.Producer, Sequence: uint64(len(account.Sent)) + 1}
	digest := chain.Envelope{MessageID: m.ID(), Body: m.Body()}.Digest()
	account.Append(digest, r.at(len(r.arrivals)))
	r.arrivals = append(r.arrivals, chain.Arrival{Message: m, Digest: digest})
}

func (r *run) at(n int) time.Time { return r.begin.Add(time.Duration(n) * 10 * time.Millisecond) }

// process lets a ledger apply the arrivals and returns the evidence.
func (r *run) process() Evidence {
	ledger := chain.NewLedger("first", r.begin)
	return Evidence{
		Accounts: r.accounts, Outputs: r.feed(ledger, r.arrivals), State: ledger.State(), Final: true,
	}
}

func (r *run) feed(ledger *chain.Ledger, arrivals []chain.Arrival) []Output {
	var outputs []Output
	for n, a := range arrivals {
		if output, applied := ledger.Apply(a); applied {
			outputs = append(outputs, Output{Output: output, Arrived: r.at(n).Add(5 * time.Millisecond)})
		}
	}
	return outputs
}

// pick draws the index of a message that is not the first or last of all.
func (r *run) pick(t *rapid.T) int { return rapid.IntRange(1, len(r.arrivals)-2).Draw(t, "victim") }
