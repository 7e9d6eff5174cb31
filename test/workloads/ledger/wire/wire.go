// Package wire is how the ledger's programs speak AMQP: an ordinary client that reconnects when its connection breaks.
package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// Default names.
const (
	QueueIn  = "ledger.in"
	QueueOut = "ledger.out"
	// EnvBroker holds the broker's URI.
	EnvBroker = "BROKER"
)

const (
	// headerResent marks a message that is sent again because its first sending was never confirmed.
	headerResent = "ledger-resent"
	// typeFence marks a message that the consumer passes on without applying it.
	typeFence   = "fence"
	contentType = "application/json"

	heartbeat  = 10 * time.Second
	minBackoff = 20 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
)

// ErrNotConfirmed is a publish that the broker refused, or whose channel ended before the confirm.
var ErrNotConfirmed = errors.New("not confirmed by the broker")

// Queues names the workload's queues.
type Queues struct {
	In, Out string
	// Type is x-queue-type: classic or quorum.
	Type string
}

// Declare declares both queues, durable.
func (q Queues) Declare(ch *amqp.Channel) error {
	for _, name := range []string{q.In, q.Out} {
		args := amqp.Table{amqp.QueueTypeArg: q.Type}
		if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
			return fmt.Errorf("declaring queue %s: %w", name, err)
		}
	}
	return nil
}

// Sessions opens one connection with one channel in confirm mode after the other and lets use work on each until it
// fails, until ctx ends or use returns nil. The backoff between tries is short: a consumer that sleeps is a pause.
func Sessions(ctx context.Context, uri, name string, use func(ctx context.Context, ch *amqp.Channel) error) error {
	backoff := minBackoff
	for {
		opened, err := session(ctx, uri, name, use)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if opened {
			backoff = minBackoff
		}
		slog.Warn("Session with the broker ended, reconnecting", "client", name, "err", err, "in", backoff)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func session(ctx context.Context, uri, name string, use func(context.Context, *amqp.Channel) error) (opened bool, err error) {
	config := amqp.Config{Heartbeat: heartbeat, Locale: "en_US", Properties: amqp.NewConnectionProperties()}
	config.Properties.SetClientConnectionName(name)
	conn, err := amqp.DialConfig(uri, config)
	if err != nil {
		return false, fmt.Errorf("connecting to the broker: %w", err)
	}
	defer func() { _ = conn.Close() }() // the broker requeues what is not acknowledged; nothing else hangs on it
	ch, err := conn.Channel()
	if err != nil {
		return false, fmt.Errorf("opening channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return false, fmt.Errorf("asking for confirms: %w", err)
	}
	slog.Info("Connected to the broker", "client", name)
	return true, use(ctx, ch)
}

// Publish sends to a queue and waits for the confirm.
func Publish(ctx context.Context, ch *amqp.Channel, queue string, p amqp.Publishing) error {
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, false, false, p)
	if err != nil {
		return fmt.Errorf("publishing to %s: %w", queue, err)
	}
	acked, err := confirm.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("awaiting confirm of %s: %w", queue, err)
	}
	if !acked {
		return fmt.Errorf("publishing to %s: %w", queue, ErrNotConfirmed)
	}
	return nil
}

// NewPublishing is a persistent message.
func NewPublishing(id string, body []byte, at time.Time) amqp.Publishing {
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent, ContentType: contentType,
		MessageId: id, Timestamp: at.Truncate(time.Second), Body: body,
	}
}

// NewFence is a message that the consumer passes on, unapplied, behind the outputs of all messages before it.
func NewFence(id string) amqp.Publishing {
	return amqp.Publishing{DeliveryMode: amqp.Persistent, Type: typeFence, MessageId: id}
}

// IsFence tells fences from messages and outputs.
func IsFence(d amqp.Delivery) bool { return d.Type == typeFence }

// Resent returns p marked as sent again.
func Resent(p amqp.Publishing) amqp.Publishing {
	p.Headers = amqp.Table{headerResent: true}
	return p
}

// IsResent tells whether the sender marked it as sent again.
func IsResent(d amqp.Delivery) bool {
	resent, _ := d.Headers[headerResent].(bool)
	return resent
}

// Sent is the envelope in which p will reach the queue's consumer.
func Sent(queue string, p amqp.Publishing) chain.Envelope {
	return chain.Envelope{
		RoutingKey: queue, ContentType: p.ContentType, MessageID: p.MessageId,
		Timestamp: p.Timestamp.Unix(), Body: p.Body,
	}
}

// Received is the envelope in which a message came.
func Received(d amqp.Delivery) chain.Envelope {
	return chain.Envelope{
		Exchange: d.Exchange, RoutingKey: d.RoutingKey, ContentType: d.ContentType, MessageID: d.MessageId,
		Timestamp: d.Timestamp.Unix(), Body: d.Body,
	}
}
