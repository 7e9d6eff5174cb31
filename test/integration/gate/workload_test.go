//go:build integration

package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// state of the consumer: a hash chain over all messages in their order.
type state struct {
	Chain [sha256.Size]byte
	Count uint64
	// Last sequence number applied.
	Last uint64
	// Doubled messages that did not say that they are redelivered; Redone ones that did.
	Doubled, Redone, Lost uint64
}

func (s *state) apply(m amqp091.Delivery) {
	seq := binary.BigEndian.Uint64(m.Body)
	switch {
	case seq <= s.Last && m.Redelivered:
		s.Redone++
		return
	case seq <= s.Last:
		s.Doubled++
	case seq > s.Last+1:
		s.Lost += seq - s.Last - 1
	}
	s.Last = max(s.Last, seq)
	s.Chain = sha256.Sum256(append(s.Chain[:], m.Body...))
	s.Count++
}

// app is a consumer as people write them: it reconnects, publishes one output per message, waits for its confirm, and
// then acknowledges.
type app struct {
	uri, in, out string
	args         amqp091.Table // of the input queue
	prefetch     int
	service      time.Duration
	batch        int // acknowledge every so many messages at once; 0: each

	mu    sync.Mutex
	state state
	// confirmed is the last message whose output the broker has. When a connection breaks before, it is published again.
	confirmed uint64
	ch        *amqp091.Channel
	brake     *brake

	cancel context.CancelFunc
	done   chan struct{}
}

// brake stops the app in the middle of a message.
type brake struct {
	once              sync.Once
	reached, released chan struct{}
}

// stall the app in its next message, which it has begun once stalled says so, until goOn is called.
func (a *app) stall() (stalled func() bool, goOn func()) {
	b := &brake{reached: make(chan struct{}), released: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.brake = b
	stalled = func() bool {
		select {
		case <-b.reached:
			return true
		default:
			return false
		}
	}
	return stalled, sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.brake = nil
		close(b.released)
	})
}

func (a *app) stopAtBrake(ctx context.Context) {
	a.mu.Lock()
	b := a.brake
	a.mu.Unlock()
	if b == nil {
		return
	}
	b.once.Do(func() { close(b.reached) })
	select {
	case <-b.released:
	case <-ctx.Done():
	}
}

// err makes the broker close the app's channel.
func (a *app) err() {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.ch.Publish("no such exchange", "", false, false, amqp091.Publishing{})
}

// start the app with its present state.
func (a *app) start(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.done = cancel, make(chan struct{})
	go func() {
		defer close(a.done)
		for ctx.Err() == nil {
			err := a.session(ctx)
			if ctx.Err() == nil {
				t.Logf("app %s reconnects: %v", a.uri, err)
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	}()
	t.Cleanup(a.stop)
}

// stop the app for good.
func (a *app) stop() {
	a.cancel()
	<-a.done
}

// restored is the app as a checkpoint taken now would restore it, at another gate.
func (a *app) restored(g *gateProcess) *app {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &app{uri: g.uri(), in: a.in, out: a.out, args: a.args, prefetch: a.prefetch, service: a.service, batch: a.batch, state: a.state, confirmed: a.confirmed}
}

func (a *app) snapshot() state {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// published is the last message whose output the broker has.
func (a *app) published() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.confirmed
}

func (a *app) session(ctx context.Context) error {
	conn, err := amqp091.DialConfig(a.uri, amqp091.Config{
		Heartbeat: 2 * time.Second,
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				context.AfterFunc(ctx, func() { _ = c.Close() })
			}
			return c, err
		},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.ch = ch
	a.mu.Unlock()
	if err := ch.Qos(a.prefetch, 0, false); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(a.in, true, false, false, false, a.args); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(a.out, true, false, false, false, nil); err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	messages, err := ch.Consume(a.in, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	n := 0
	for m := range messages {
		if err := a.process(ctx, ch, m); err != nil {
			return err
		}
		if n++; a.batch == 0 || n%a.batch == 0 {
			if err := m.Ack(a.batch > 0); err != nil {
				return err
			}
		}
	}
	return amqp091.ErrClosed
}

func (a *app) process(ctx context.Context, ch *amqp091.Channel, m amqp091.Delivery) error {
	if a.service > 0 {
		<-time.After(a.service)
	}
	a.stopAtBrake(ctx)
	seq := binary.BigEndian.Uint64(m.Body)
	a.mu.Lock()
	a.state.apply(m)
	output := append(a.state.Chain[:8:8], m.Body[:8]...)
	done := seq <= a.confirmed
	a.mu.Unlock()
	if done {
		return nil
	}
	c, err := ch.PublishWithDeferredConfirm("", a.out, true, false, amqp091.Publishing{
		DeliveryMode: amqp091.Persistent, Body: output, Timestamp: time.Now(), Headers: amqp091.Table{"a": int32(1), "b": "two", "c": true},
	})
	if err != nil {
		return err
	}
	if ok, err := c.WaitContext(ctx); err != nil || !ok {
		return errors.Join(errors.New("output not confirmed"), err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.confirmed = seq
	return nil
}

// producer sends numbered messages and keeps the state they must lead to.
type producer struct {
	t     *testing.T
	at    site
	ch    *amqp091.Channel
	queue string
	size  int
	want  state
}

func newProducer(t *testing.T, queue string) *producer { return shared.newProducer(t, queue) }

func (at site) newProducer(t *testing.T, queue string) *producer {
	p := &producer{t: t, at: at, queue: queue, size: 64}
	p.connect()
	return p
}

// connect to the broker, or again after it has been restarted.
func (p *producer) connect() {
	p.t.Helper()
	p.ch = p.at.channel(p.t)
	require.NoError(p.t, p.ch.Confirm(false))
}

// send one message.
func (p *producer) send() {
	body := make([]byte, p.size)
	binary.BigEndian.PutUint64(body, p.want.Last+1)
	c, err := p.ch.PublishWithDeferredConfirm("", p.queue, true, false, amqp091.Publishing{
		Body: body, Headers: amqp091.Table{"seq": int64(p.want.Last + 1)}, CorrelationId: "c", DeliveryMode: 2,
	})
	require.NoError(p.t, err)
	require.True(p.t, c.Wait())
	p.want.apply(amqp091.Delivery{Body: body})
}

// background sends at a rate until the returned function is called.
func (p *producer) background(rate int) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	stop = sync.OnceFunc(func() { close(quit); <-done })
	p.t.Cleanup(stop)
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				p.send()
			}
		}
	}()
	return stop
}

// requireExact checks the app's state and that every output was published once, in order.
func requireExact(t *testing.T, p *producer, a *app) {
	t.Helper()
	requireState(t, p, a)
	requireOutputs(t, p, a, 0)
}

// requireState checks that nothing was lost, doubled or reordered.
func requireState(t *testing.T, p *producer, a *app) {
	t.Helper()
	eventually(t, fmt.Sprintf("app applies %d messages", p.want.Last), func() bool { return a.snapshot().Last >= p.want.Last })
	require.Equal(t, p.want, a.snapshot())
}

// requireOutputs checks that every output was published, in order, and not more of them again than connections broke.
func requireOutputs(t *testing.T, p *producer, a *app, breaks int) {
	t.Helper()
	eventually(t, "the broker has all outputs", func() bool { return a.published() >= p.want.Last })
	var want, got [][]byte
	var chain state
	for seq := uint64(1); seq <= p.want.Last; seq++ {
		body := make([]byte, p.size)
		binary.BigEndian.PutUint64(body, seq)
		chain.apply(amqp091.Delivery{Body: body})
		want = append(want, append(chain.Chain[:8:8], body[:8]...))
	}
	ch := p.at.channel(t)
	for {
		m, ok, err := ch.Get(a.out, true)
		require.NoError(t, err)
		if !ok {
			break
		}
		got = append(got, m.Body)
	}
	once := slices.CompactFunc(slices.Clone(got), bytes.Equal)
	require.Equal(t, want, once)
	require.LessOrEqual(t, len(got)-len(once), breaks, "outputs published again")
}
