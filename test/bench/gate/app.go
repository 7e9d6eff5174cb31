package gate

import (
	"errors"
	"fmt"

	"github.com/rabbitmq/amqp091-go"
)

// prefetch of the app's consumer.
const prefetch = 256

// app does what apps do with one connection and one channel: it consumes, publishes an output for each message, and
// acknowledges the message once the broker has confirmed the output.
type app struct {
	conn *amqp091.Connection
	ch   *amqp091.Channel
	out  string
	// failed tells why the app has ended, unless it was stopped.
	failed chan error
}

// processed is a message whose output is on its way.
type processed struct {
	message amqp091.Delivery
	output  *amqp091.DeferredConfirmation
}

func startApp(uri, in, out string) (*app, error) {
	conn, err := amqp091.Dial(uri)
	if err != nil {
		return nil, fmt.Errorf("connecting the app: %w", err)
	}
	a := &app{conn: conn, out: out, failed: make(chan error, 2)}
	messages, err := a.subscribe(in)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	unconfirmed := make(chan processed, prefetch)
	go func() {
		defer close(unconfirmed)
		a.end(a.publish(messages, unconfirmed))
	}()
	go func() { a.end(a.settle(unconfirmed)) }()
	return a, nil
}

func (a *app) subscribe(in string) (<-chan amqp091.Delivery, error) {
	var err error
	if a.ch, err = a.conn.Channel(); err != nil {
		return nil, fmt.Errorf("opening the app's channel: %w", err)
	}
	if err := errors.Join(a.ch.Qos(prefetch, 0, false), a.ch.Confirm(false)); err != nil {
		return nil, fmt.Errorf("preparing the app's channel: %w", err)
	}
	messages, err := a.ch.Consume(in, "", false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("subscribing the app: %w", err)
	}
	return messages, nil
}

func (a *app) publish(messages <-chan amqp091.Delivery, unconfirmed chan<- processed) error {
	for m := range messages {
		output, err := a.ch.PublishWithDeferredConfirm("", a.out, false, false, amqp091.Publishing{Body: m.Body})
		if err != nil {
			return fmt.Errorf("publishing an output: %w", err)
		}
		unconfirmed <- processed{m, output}
	}
	return amqp091.ErrClosed
}

func (a *app) settle(unconfirmed <-chan processed) error {
	for p := range unconfirmed {
		if !p.output.Wait() {
			return errors.New("an output was not confirmed")
		}
		if err := p.message.Ack(false); err != nil {
			return fmt.Errorf("acknowledging a message: %w", err)
		}
	}
	return nil
}

func (a *app) end(err error) {
	if err != nil {
		a.failed <- err
	}
}

func (a *app) stop() error { return a.conn.Close() }
