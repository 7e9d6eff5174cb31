// Package consumer is the ledger as a service: it consumes one queue serially, applies each message to a chain.Ledger,
// publishes one output per message and serves its state over HTTP. It knows nothing of migration; it is what any
// careful AMQP application is: manual acknowledgement after the work, confirms, a reconnect loop.
package consumer

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

// Options of a consumer.
type Options struct {
	// Broker is an AMQP URI.
	Broker   string
	Queues   wire.Queues
	Prefetch int
	// Service is the time that a message takes.
	Service time.Duration
	// Mebibytes of ballast.
	Mebibytes int
}

// Consumer is one instance of the service.
type Consumer struct {
	options Options
	ballast chain.Ballast

	mu     sync.Mutex
	ledger *chain.Ledger

	// pending is the output that the broker has not confirmed. Its message is applied, so a redelivery would be
	// skipped: the next session must publish it first.
	pending *amqp.Publishing
}

// New returns an empty ledger with its ballast filled.
func New(options Options) *Consumer {
	return &Consumer{
		options: options,
		ballast: chain.NewBallast(options.Mebibytes),
		ledger:  chain.NewLedger(rand.Text(), time.Now()),
	}
}

// Run consumes until ctx ends, through any number of connections.
func (c *Consumer) Run(ctx context.Context) error {
	return wire.Sessions(ctx, c.options.Broker, "ledger", c.consume)
}

// State returns a copy of the state. The checksum of the ballast costs reading all of it and is left out unless asked.
func (c *Consumer) State(withMemory bool) chain.State {
	c.mu.Lock()
	state := c.ledger.State()
	c.mu.Unlock()
	if withMemory {
		memory := c.ballast.Memory()
		state.Memory = &memory
	}
	return state
}

func (c *Consumer) consume(ctx context.Context, ch *amqp.Channel) error {
	if err := c.options.Queues.Declare(ch); err != nil {
		return err
	}
	if err := ch.Qos(c.options.Prefetch, 0, false); err != nil {
		return fmt.Errorf("setting prefetch: %w", err)
	}
	if c.pending != nil {
		if err := c.publishPending(ctx, ch, wire.Resent(*c.pending)); err != nil {
			return err
		}
	}
	deliveries, err := ch.ConsumeWithContext(ctx, c.options.Queues.In, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consuming %s: %w", c.options.Queues.In, err)
	}
	for d := range deliveries {
		if err := c.handle(ctx, ch, d); err != nil {
			return err
		}
	}
	return errors.New("the deliveries ended")
}

// handle takes one message to its end: work, apply, output, confirm, acknowledge.
func (c *Consumer) handle(ctx context.Context, ch *amqp.Channel, d amqp.Delivery) error {
	if wire.IsFence(d) {
		if err := wire.Publish(ctx, ch, c.options.Queues.Out, wire.NewFence(d.MessageId)); err != nil {
			return err
		}
		return acknowledge(d)
	}
	work(ctx, c.options.Service)
	if output, applied := c.apply(d); applied {
		c.pending = &output
		if err := c.publishPending(ctx, ch, output); err != nil {
			return err
		}
	}
	return acknowledge(d)
}

func (c *Consumer) publishPending(ctx context.Context, ch *amqp.Channel, p amqp.Publishing) error {
	if err := wire.Publish(ctx, ch, c.options.Queues.Out, p); err != nil {
		return err
	}
	c.pending = nil
	return nil
}

// apply changes the state and returns the output to publish, if there is one.
func (c *Consumer) apply(d amqp.Delivery) (amqp.Publishing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	message, err := chain.ParseMessage(d.Body)
	if err != nil {
		c.ledger.Malformed(err)
		return amqp.Publishing{}, false
	}
	output, applied := c.ledger.Apply(chain.Arrival{
		Message: message, Digest: wire.Received(d).Digest(),
		Redelivered: d.Redelivered, Resent: wire.IsResent(d),
	})
	if !applied {
		slog.Info("Skipped a duplicate", "message", message.ID(), "redelivered", d.Redelivered)
		return amqp.Publishing{}, false
	}
	body, err := json.Marshal(output)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	// The time is the message's, not the clock's: the output is a function of the state alone.
	return wire.NewPublishing(output.ID(), body, d.Timestamp), true
}

func acknowledge(d amqp.Delivery) error {
	if err := d.Ack(false); err != nil {
		return fmt.Errorf("acknowledging %s: %w", d.MessageId, err)
	}
	return nil
}

// work stands for what the service does with a message.
func work(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
