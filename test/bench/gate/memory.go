package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"
)

const (
	// busyApps saturate a gate with the largest messages, and as many others read slowly.
	busyApps = 4
	// Each slow reader has slowCount messages waiting in the broker; nothing but full sockets keeps them there.
	slowCount = 32
	slowSize  = 1 << 20
	// It reads slowChunk bytes at a time and then pauses.
	slowChunk = 16 << 10
	slowPause = 10 * time.Millisecond
)

// idle memory of the gate, in bytes, with an app that has been served and now waits for messages.
func (b *bench) idle(ctx context.Context) (_ uint64, err error) {
	p, err := newPipeline(b.broker, b.gate.uri)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for range window {
		if err := p.send(make([]byte, latencySize)); err != nil {
			return 0, err
		}
		if _, err := p.receive(ctx); err != nil {
			return 0, err
		}
	}
	select {
	case <-time.After(b.Round):
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	return b.gate.memory(resident)
}

// loaded is the most memory that a gate of its own ever had, in bytes, when apps saturate it with the largest messages
// while others read much slower than the broker sends.
func (b *bench) loaded(ctx context.Context) (_ uint64, err error) {
	gate, err := b.startGate()
	if err != nil {
		return 0, err
	}
	defer gate.stop()
	ctx, cancel := context.WithTimeout(ctx, b.WarmUp+b.Round+patience)
	defer cancel()
	run, ctx := errgroup.WithContext(ctx)
	for range busyApps {
		slow, failed := newSlowReader(b.broker, gate.uri)
		if failed != nil {
			return 0, failed
		}
		defer func() { err = errors.Join(err, slow.close()) }()
		p, failed := newPipeline(b.broker, gate.uri)
		if failed != nil {
			return 0, failed
		}
		defer func() { err = errors.Join(err, p.close()) }()
		run.Go(func() error {
			_, _, err := p.saturate(ctx, Sizes[len(Sizes)-1], b.WarmUp, b.Round)
			return err
		})
	}
	if err := run.Wait(); err != nil {
		return 0, fmt.Errorf("loading the gate: %w", err)
	}
	return gate.memory(peak)
}

// newSlowReader of a queue that is full, without prefetch limit.
func newSlowReader(broker, gate string) (_ *connections, err error) {
	c := newConnections()
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	producer, err := c.channel(broker, amqp091.Config{})
	if err != nil {
		return nil, err
	}
	queue, err := c.queue(producer, "slow")
	if err != nil {
		return nil, err
	}
	for range slowCount {
		if err := producer.Publish("", queue, false, false, amqp091.Publishing{Body: make([]byte, slowSize)}); err != nil {
			return nil, fmt.Errorf("filling queue: %w", err)
		}
	}
	reader, err := c.channel(gate, amqp091.Config{Dial: dialSlow})
	if err != nil {
		return nil, err
	}
	if _, err := reader.Consume(queue, "", false, false, false, false, nil); err != nil {
		return nil, fmt.Errorf("subscribing slow reader: %w", err)
	}
	return c, nil
}

// slowConn reads slowly.
type slowConn struct{ net.Conn }

func dialSlow(network, address string) (net.Conn, error) {
	conn, err := amqp091.DefaultDial(patience)(network, address)
	return slowConn{conn}, err
}

func (c slowConn) Read(b []byte) (int, error) {
	time.Sleep(slowPause)
	return c.Conn.Read(b[:min(len(b), slowChunk)])
}
