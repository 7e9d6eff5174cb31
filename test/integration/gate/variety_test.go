//go:build integration

package gate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// move the app of a scene once more, from its present gate to a new one.
func (s *scene) move() {
	s.t.Helper()
	handedOver(s)
	s.commit()
	s.source, s.app = s.target, s.moved
	s.migration = newMigration(s.t, s.source, s.app)
	s.id += fmt.Sprint(time.Now().UnixNano())
	s.log = "ms2m.replay." + s.id
	applied(s.t, s.app, 10)
}

func TestManyMigrationsInARow(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	for range 10 {
		s.move()
	}
	s.stop()
	requireExact(t, s.p, s.app)
}

// TestBacklog: the queue is never empty. That λ is as large as μ then takes a machine that
// does nothing else, and is shown by TestRatesOfABacklog.
func TestBacklog(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(a *app) { a.prefetch = 200 })
	s.stop()
	for range 1500 {
		s.p.send()
	}
	s.stop = s.p.background(50)
	s.move()
	status := s.source.status()
	require.Positive(t, status.Lambda)
	require.Positive(t, status.Mu)
	s.stop()
	requireExact(t, s.p, s.app)
}

func TestLargeMessages(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.stop()
	eventually(t, "all applied", func() bool { return s.app.snapshot().Last == s.p.want.Last })
	s.p.size = 1 << 20
	s.stop = s.p.background(20)
	s.move()
	s.stop()
	eventually(t, "all applied", func() bool { return s.app.snapshot().Last == s.p.want.Last })
	require.Equal(t, s.p.want, s.app.snapshot())
}

// several is an app with two connections, each with a channel and a consumer, whose state is one.
type several struct {
	uri    string
	queues []string

	mu    sync.Mutex
	Chain [sha256.Size]byte
	Count int

	conns []*amqp091.Connection
}

func (a *several) start(t *testing.T) {
	for _, q := range a.queues {
		conn, err := amqp091.Dial(a.uri)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
		a.conns = append(a.conns, conn)
		ch, err := conn.Channel()
		require.NoError(t, err)
		require.NoError(t, ch.Qos(5, 0, false))
		messages, err := ch.Consume(q, "consumer of "+q, false, false, false, false, nil)
		require.NoError(t, err)
		go func() {
			for m := range messages {
				a.mu.Lock()
				a.Chain = sha256.Sum256(append(append(a.Chain[:], q...), m.Body...))
				a.Count++
				a.mu.Unlock()
				_ = m.Ack(true)
			}
		}()
	}
}

func (a *several) state() (chain [sha256.Size]byte, count int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.Chain, a.Count
}

// TestOneOrderOverSeveralQueues: the target gets the source's own order over all its queues.
func TestOneOrderOverSeveralQueues(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	source, target := startGate(t, "open"), startGate(t, "closed")
	a := &several{uri: source.uri(), queues: []string{queue(t, "a"), queue(t, "b")}}
	a.start(t)
	p, q := newProducer(t, a.queues[0]), newProducer(t, a.queues[1])
	stopP, stopQ := p.background(300), q.background(200)
	counted := func(a *several, n int) {
		eventually(t, "messages", func() bool { _, c := a.state(); return c >= n })
	}
	counted(a, 50)
	id := a.queues[0]
	hold := control.HoldRequest{Command: control.Command{Migration: id}, DrainMillis: 5000, ValidMillis: 5000}
	cut, err := source.Hold(ctx, hold)
	require.NoError(t, err)
	b := &several{uri: target.uri(), queues: a.queues}
	b.Chain, b.Count = a.state()
	require.NoError(t, source.Release(ctx, control.ReleaseRequest{Command: hold.Command, Token: cut.Token, Log: "ms2m.replay." + id}))
	require.NoError(t, target.Replay(ctx, control.ReplayRequest{Command: hold.Command, Log: "ms2m.replay." + id}))
	b.start(t)
	counted(b, 300)
	require.NoError(t, source.HandOver(ctx, hold.Command))
	target.awaitMode(control.ModeReplayed)
	require.Equal(t, 2, target.status().SessionConsumers)
	chainA, countA := a.state()
	chainB, countB := b.state()
	require.Equal(t, countA, countB)
	require.Equal(t, chainA, chainB)
	require.NoError(t, target.Commit(ctx, hold.Command))
	require.NoError(t, source.Fence(ctx, hold.Command))
	counted(b, countB+100)
	stopP()
	stopQ()
	counted(b, int(p.want.Last+q.want.Last))
	_, n := b.state()
	require.Equal(t, int(p.want.Last+q.want.Last), n)
}

// TestTagsAndConfirmsAcrossTheCommit: the app's numbers go on where the replay ended, "multiple" included.
func TestTagsAndConfirmsAcrossTheCommit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	source, target := startGate(t, "open"), startGate(t, "closed")
	in := queue(t, "in")
	p := newProducer(t, in)
	a := through(t, source)
	got, err := a.Consume(in, "c", false, false, false, false, nil)
	require.NoError(t, err)
	id := control.Command{Migration: in}
	cut, err := source.Hold(ctx, control.HoldRequest{Command: id, DrainMillis: 5000, ValidMillis: 5000})
	require.NoError(t, err)
	require.NoError(t, source.Release(ctx, control.ReleaseRequest{Command: id, Token: cut.Token, Log: "ms2m.replay." + in}))
	require.NoError(t, target.Replay(ctx, control.ReplayRequest{Command: id, Log: "ms2m.replay." + in}))

	// The same app at both: it rejects the second message once, and publishes one output for each.
	work := func(ch *amqp091.Channel, got <-chan amqp091.Delivery) {
		for n := uint64(1); n <= 4; n++ {
			m := <-got
			require.Equal(t, n, m.DeliveryTag)
			require.Equal(t, n == 4, m.Redelivered)
			require.NoError(t, ch.Publish("", in+".out", false, false, amqp091.Publishing{Body: m.Body}))
			if n == 2 {
				require.NoError(t, m.Nack(false, true))
				continue
			}
			require.NoError(t, m.Ack(false))
		}
	}
	for range 3 {
		p.send()
	}
	eventually(t, "one delivery at the app, two behind it", func() bool { return source.status().Waiting == 2 })
	_, err = broker(t).QueueDeclare(in+".out", true, false, false, false, amqp091.Table{"x-expires": 60000})
	require.NoError(t, err)
	work(a, got)
	b := through(t, target)
	require.NoError(t, b.Confirm(false))
	confirms := b.NotifyPublish(make(chan amqp091.Confirmation, 10))
	moved, err := b.Consume(in, "c", false, false, false, false, nil)
	require.NoError(t, err)
	work(b, moved)
	require.NoError(t, source.HandOver(ctx, id))
	target.awaitMode(control.ModeReplayed)
	require.Equal(t, uint64(4), target.status().Outputs)
	require.NoError(t, target.Commit(ctx, id))
	require.NoError(t, source.Fence(ctx, id))

	for range 3 {
		p.send()
	}
	var last amqp091.Delivery
	for n := uint64(5); n <= 7; n++ {
		last = <-moved
		require.Equal(t, n, last.DeliveryTag)
	}
	require.NoError(t, last.Ack(true))
	require.NoError(t, b.Publish("", in+".out", false, false, amqp091.Publishing{}))
	for n := uint64(1); n <= 5; n++ {
		require.Equal(t, amqp091.Confirmation{DeliveryTag: n, Ack: true}, <-confirms)
	}
	q, err := b.QueueDeclarePassive(in+".out", true, false, false, false, nil)
	require.NoError(t, err)
	require.Equal(t, 5, q.Messages, "four outputs of the source, one of the target")
	require.NoError(t, b.Cancel("c", false))
	q, err = b.QueueDeclarePassive(in, true, false, false, false, nil)
	require.NoError(t, err)
	require.Zero(t, q.Messages)
	require.Zero(t, target.status().Unacked)
}

func TestQuorumQueue(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("quorum.%d", time.Now().UnixNano())
	ch := broker(t)
	_, err := ch.QueueDeclare(name, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"})
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = broker(t).QueueDelete(name, false, false, false) })
	s := newScene(t, func(a *app) { a.in, a.args = name, amqp091.Table{"x-queue-type": "quorum"} })
	s.move()
	s.move()
	s.stop()
	requireExact(t, s.p, s.app)
}
