package gate

import (
	"errors"
	"fmt"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// connections and what else is to be undone.
type connections struct{ close func() error }

// started is when the program did; stamps of messages count from it, and names of queues are made of it.
var started = time.Now()

func newConnections() *connections { return &connections{close: func() error { return nil }} }

// finally does something on close, before what was to be done then so far.
func (c *connections) finally(do func() error) {
	next := c.close
	c.close = func() error { return errors.Join(do(), next()) }
}

// channel on a connection of its own.
func (c *connections) channel(uri string, config amqp091.Config) (*amqp091.Channel, error) {
	conn, err := amqp091.DialConfig(uri, config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	c.finally(conn.Close)
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("opening channel: %w", err)
	}
	return ch, nil
}

// queue of its own.
func (c *connections) queue(ch *amqp091.Channel, kind string) (string, error) {
	name := fmt.Sprintf("bench.%s.%d", kind, time.Since(started))
	if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
		return "", fmt.Errorf("declaring queue: %w", err)
	}
	c.finally(func() error {
		_, err := ch.QueueDelete(name, false, false, false)
		return err
	})
	return name, nil
}
