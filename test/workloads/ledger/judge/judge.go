// Package judge decides whether a ledger is exactly what its producers' messages demand. It holds three independent
// accounts against each other: what the producers sent, what the ledger's outputs said, in the order in which they came,
// and the ledger's state at the end.
package judge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

// Options of a judge.
type Options struct {
	// Broker is an AMQP URI.
	Broker string
	Queues wire.Queues
	// Accounts of all producers, at any time.
	Accounts func() []chain.Account
	// State of the ledger with its memory, at any time, from whichever instance is active.
	State func(context.Context) (chain.State, error)
	// Base is the ledger's state before the first message; the zero value is an empty ledger.
	Base chain.State
}

// Judge consumes the ledger's outputs and remembers them all.
type Judge struct {
	options Options

	mu      sync.Mutex
	outputs []Output
	seen    map[string]bool
	// fences that have not come back, by message ID.
	fences map[string]chan struct{}
	memory *chain.Memory
}

// New returns a judge. Run must be under way for its other methods to work.
func New(options Options) *Judge {
	return &Judge{options: options, seen: map[string]bool{}, fences: map[string]chan struct{}{}}
}

// Run consumes the outputs until ctx ends. No one else may.
func (j *Judge) Run(ctx context.Context) error {
	return wire.Sessions(ctx, j.options.Broker, "judge", j.consume)
}

func (j *Judge) consume(ctx context.Context, ch *amqp.Channel) error {
	if err := j.options.Queues.Declare(ch); err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, j.options.Queues.Out, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consuming %s: %w", j.options.Queues.Out, err)
	}
	for d := range deliveries {
		j.receive(d, time.Now())
		if err := d.Ack(false); err != nil {
			return fmt.Errorf("acknowledging output: %w", err)
		}
	}
	return errors.New("the outputs ended")
}

// receive records a delivery. What the broker delivers again, because the judge's own connection broke, counts once.
func (j *Judge) receive(d amqp.Delivery, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if wire.IsFence(d) {
		if back, ok := j.fences[d.MessageId]; ok {
			close(back)
			delete(j.fences, d.MessageId)
		}
		return
	}
	output := Output{Arrived: now, Resent: wire.IsResent(d)}
	if err := json.Unmarshal(d.Body, &output.Output); err != nil {
		// Judged like any output for a message that was never sent.
		slog.Error("Received a malformed output", "body", string(d.Body), "err", err)
	}
	if d.Redelivered && j.seen[output.ID()] {
		return
	}
	j.seen[output.ID()] = true
	j.outputs = append(j.outputs, output)
}

// Outputs returns all outputs so far in order of arrival.
func (j *Judge) Outputs() []Output {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.outputs[:len(j.outputs):len(j.outputs)]
}

// Pause returns the longest pause of processing that overlaps the window.
func (j *Judge) Pause(from, to time.Time) Pause {
	return LongestPause(j.Outputs(), j.options.Accounts(), from, to)
}

// WaitDrained waits until the ledger has taken every message that was in its queue when WaitDrained was called, and the
// judge every output of theirs. Nothing is assumed about the messages themselves: a fence travels behind them, through
// the ledger and its output queue, so that losses do not let it wait forever.
func (j *Judge) WaitDrained(ctx context.Context) error {
	id := rand.Text()
	back := make(chan struct{})
	j.mu.Lock()
	j.fences[id] = back
	j.mu.Unlock()
	err := wire.Sessions(ctx, j.options.Broker, "judge's fence", func(ctx context.Context, ch *amqp.Channel) error {
		return wire.Publish(ctx, ch, j.options.Queues.In, wire.NewFence(id))
	})
	if err != nil {
		return fmt.Errorf("publishing the fence: %w", err)
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("awaiting the fence behind the last message: %w", ctx.Err())
	}
}

// Verdict judges now. While producers are at work it judges what the state covers; once all are complete, it waits for
// the ledger to drain and judges everything.
func (j *Judge) Verdict(ctx context.Context) (Verdict, error) {
	final := j.complete()
	if final {
		if err := j.WaitDrained(ctx); err != nil {
			return Verdict{}, err
		}
	}
	state, err := j.options.State(ctx)
	if err != nil {
		return Verdict{}, fmt.Errorf("reading the ledger's state: %w", err)
	}
	if !final {
		// Behind this fence are the outputs of all that the state covers.
		if err := j.WaitDrained(ctx); err != nil {
			return Verdict{}, err
		}
	}
	return Assess(Evidence{
		Base: j.options.Base, Accounts: j.options.Accounts(), Outputs: j.Outputs(), State: state,
		Memory: j.expectedMemory(state), Final: final,
	}), nil
}

func (j *Judge) complete() bool {
	for _, a := range j.options.Accounts() {
		if !a.Complete {
			return false
		}
	}
	return true
}

// expectedMemory computes the ballast's checksum, once for a size. The size itself must be that of the base, if known.
func (j *Judge) expectedMemory(state chain.State) *chain.Memory {
	if j.options.Base.Memory != nil {
		return j.options.Base.Memory
	}
	if state.Memory == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.memory == nil || j.memory.Mebibytes != state.Memory.Mebibytes {
		memory := chain.ExpectedMemory(state.Memory.Mebibytes)
		j.memory = &memory
	}
	return j.memory
}
