package replaylog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// expires deletes a log that nobody uses, should a migration be abandoned by all its parts.
const expires = 15 * time.Minute

// Conn is the log user's connection to the broker.
type Conn struct {
	conn   *amqp091.Connection
	ch     *amqp091.Channel
	socket net.Conn
}

// Dial connects; uri is an amqp or amqps URI. Errors do not contain it, since it holds a password.
func Dial(ctx context.Context, uri string) (*Conn, error) {
	if _, err := amqp091.ParseURI(uri); err != nil {
		return nil, errors.New("parsing broker URI of log: want amqp://USER:PASSWORD@HOST:PORT/VHOST")
	}
	var socket net.Conn
	conn, err := amqp091.DialConfig(uri, amqp091.Config{
		Heartbeat:  10 * time.Second,
		Properties: amqp091.Table{"connection_name": "ms2m-gate"},
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			socket = c
			// The client clears it after the handshake.
			deadline, ok := ctx.Deadline()
			if !ok {
				deadline = time.Now().Add(10 * time.Second)
			}
			return c, c.SetDeadline(deadline)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting log to broker: %w", err)
	}
	ch, err := conn.Channel()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("opening channel of log: %w", err)
	}
	return &Conn{conn: conn, ch: ch, socket: socket}, nil
}

// within ctx what is asked is answered, or the connection is closed: the client itself waits without end.
func (c *Conn) within(ctx context.Context) (done func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.socket.Close() })
}

// Declare an empty log.
func (c *Conn) Declare(ctx context.Context, queue string) error {
	defer c.within(ctx)()
	q, err := c.ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-expires": expires.Milliseconds()})
	if err != nil {
		return fmt.Errorf("declaring log queue: %w", err)
	}
	if q.Messages == 0 {
		return nil
	}
	if _, err := c.ch.QueuePurge(queue, false); err != nil {
		return fmt.Errorf("emptying log queue: %w", err)
	}
	return nil
}

// Delete a log; one that does not exist is no error.
func (c *Conn) Delete(ctx context.Context, queue string) error {
	defer c.within(ctx)()
	ch, err := c.conn.Channel()
	if err != nil {
		return fmt.Errorf("opening channel of log: %w", err)
	}
	defer func() { _ = ch.Close() }()
	if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
		return fmt.Errorf("deleting log queue: %w", err)
	}
	return nil
}

// Close the connection.
func (c *Conn) Close() {
	_ = c.conn.CloseDeadline(time.Now().Add(time.Second))
}
