package replaylog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"ms2m.dev/ms2m-descheduler/pkg/gate/transport"
)

// expires deletes a log that nobody uses, should a migration be abandoned by all its parts.
const expires = 15 * time.Minute

// Conn is the log user's connection to the broker.
type Conn struct {
	conn   *amqp091.Connection
	ch     *amqp091.Channel
	socket net.Conn
}

// Dialer of the broker's socket, over TLS if there is one.
type Dialer = func(ctx context.Context, t *transport.TLS, address string) (net.Conn, error)

// Dial connects; uri is an amqp URI, or an amqps one, which needs a TLS. Errors do not contain it, since it holds a
// password.
func Dial(ctx context.Context, uri string, t *transport.TLS, dial Dialer) (*Conn, error) {
	u, err := amqp091.ParseURI(uri)
	switch {
	case err != nil:
		return nil, errors.New("connecting log to broker: its URI is not of the form amqp://USER:PASSWORD@HOST:PORT/VHOST")
	case u.Scheme == "amqp":
		t = nil
	case t == nil:
		return nil, errors.New("connecting log to broker: its URI is of the form amqps, but no authority is known to check the broker's certificate: name a Secret with ca.crt in annotation ms2m.dev/broker-tls")
	}
	socket := &witness{}
	// The client would do TLS itself, but keep to itself what the broker says about a certificate.
	conn, err := amqp091.DialConfig("amqp"+uri[len(u.Scheme):], amqp091.Config{
		Heartbeat:  10 * time.Second,
		Properties: amqp091.Table{"connection_name": "ms2m-gate"},
		Dial: func(string, string) (_ net.Conn, err error) {
			if socket.Conn, err = dial(ctx, t, net.JoinHostPort(u.Host, strconv.Itoa(u.Port))); err != nil {
				return nil, err
			}
			// The client clears it after the handshake.
			deadline, ok := ctx.Deadline()
			if !ok {
				deadline = time.Now().Add(10 * time.Second)
			}
			return socket, socket.SetDeadline(deadline)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting log to broker: %w", transport.Explain(cmp.Or(socket.failure(), err)))
	}
	ch, err := conn.Channel()
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("opening channel of log: %w", err)
	}
	return &Conn{conn: conn, ch: ch, socket: socket}, nil
}

// witness remembers why reading from a connection failed, which the client may put in words of its own.
type witness struct {
	net.Conn
	err atomic.Pointer[error]
}

// Read implements net.Conn.
func (w *witness) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (w *witness) failure() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
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
