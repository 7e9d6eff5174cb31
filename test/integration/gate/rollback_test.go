//go:build integration

package gate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// scene is an app at work behind an open gate.
type scene struct {
	*migration
	p    *producer
	stop func()
	// stalled apps go on when these are called; result is that of the command that waits for the source's.
	stalled []func()
	result  <-chan error
}

func newScene(t *testing.T, change func(*app)) *scene { return shared.newScene(t, change) }

func (at site) newScene(t *testing.T, change func(*app)) *scene {
	t.Helper()
	source := at.startGate(t, "open")
	a := &app{uri: source.uri(), in: at.queue(t, "in"), out: at.queue(t, "out"), prefetch: 10, service: 2 * time.Millisecond}
	if change != nil {
		change(a)
	}
	a.start(t)
	p := at.newProducer(t, a.in)
	s := &scene{migration: newMigration(t, source, a), p: p, stop: p.background(100)}
	applied(t, a, 10)
	return s
}

// exact ends the scene: the source has gone on as if nothing had happened.
func (s *scene) exact() {
	s.t.Helper()
	applied(s.t, s.app, 10)
	s.stop()
	requireExact(s.t, s.p, s.app)
	s.source.at.requireNoQueue(s.t, s.log)
	require.Equal(s.t, control.ModeOpen, s.source.status().Mode)
	require.Empty(s.t, s.source.status().Broken)
}

func (s *scene) resume() {
	s.t.Helper()
	r := s.command()
	require.NoError(s.t, s.source.Resume(context.Background(), r))
	require.NoError(s.t, s.source.Resume(context.Background(), r), "again")
}

func requireReason(t *testing.T, want control.Reason, err error) {
	t.Helper()
	var refused *control.Error
	require.True(t, errors.As(err, &refused), "%v", err)
	require.Equal(t, want, refused.Reason, refused.Message)
}

func TestRollbackWhileHolding(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(a *app) { a.service = 500 * time.Millisecond; a.prefetch = 100 })
	failed := make(chan error, 1)
	go func() {
		_, err := s.source.Hold(context.Background(), control.HoldRequest{Command: s.command(), DrainMillis: 60000, ValidMillis: 60000, Log: s.log})
		failed <- err
	}()
	s.source.awaitMode(control.ModeHolding)
	require.NoError(t, s.source.Resume(context.Background(), control.Command{Migration: s.id, Epoch: 100}))
	require.Error(t, <-failed)
	require.Equal(t, control.ModeOpen, s.source.status().Mode)
	s.stop()
	applied(t, s.app, 2)
	s.source.at.requireNoQueue(t, s.log)
}

func TestRollbackWhileHandingOver(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(a *app) { a.service = 30 * time.Millisecond; a.prefetch = 100 })
	s.stop()
	s.hold()
	for range 60 {
		s.p.send() // what keeps the hand-over from ending at once
	}
	s.release()
	failed := make(chan error, 1)
	epoch := s.command()
	go func() { failed <- s.source.HandOver(context.Background(), epoch) }()
	s.source.awaitMode(control.ModeHandingOver)
	require.NoError(t, s.source.Resume(context.Background(), control.Command{Migration: s.id, Epoch: 100}))
	require.Error(t, <-failed)
	s.stop = s.p.background(5)
	s.exact()
}

func TestHoldThatDoesNotDrain(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(a *app) { a.service = 300 * time.Millisecond; a.prefetch = 100 })
	_, err := s.source.Hold(context.Background(), control.HoldRequest{Command: s.command(), DrainMillis: 100, ValidMillis: 100, Log: s.log})
	requireReason(t, control.ReasonNotDrained, err)
	require.Equal(t, control.ModeOpen, s.source.status().Mode)
	s.stop()
	applied(t, s.app, 2)
	s.source.at.requireNoQueue(t, s.log)
}

func TestCommandsAreIdempotentAndOrdered(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	ctx := context.Background()
	s.hold()
	again, err := s.source.Hold(ctx, control.HoldRequest{Command: s.command(), DrainMillis: 5000, ValidMillis: 60000})
	require.NoError(t, err)
	require.Equal(t, s.cut.Token, again.Token)
	_, err = s.source.Hold(ctx, control.HoldRequest{Command: control.Command{Migration: s.id, Epoch: 1}})
	requireReason(t, control.ReasonSuperseded, err)
	_, err = s.source.Hold(ctx, control.HoldRequest{Command: control.Command{Migration: "other", Epoch: 100}})
	requireReason(t, control.ReasonSuperseded, err)
	requireReason(t, control.ReasonWrongMode, s.source.Commit(ctx, s.command()))
	requireReason(t, control.ReasonWrongMode, s.source.HandOver(ctx, s.command()))
	requireReason(t, control.ReasonBadRequest, s.source.Resume(ctx, control.Command{}))
	s.checkpoint()
	s.release()
	s.release()
	applied(t, s.app, 10)
	requireReason(t, control.ReasonWrongMode, s.source.Fence(ctx, s.command()))
	requireReason(t, control.ReasonWrongMode, s.target.Commit(ctx, s.command()))
	s.replay()
	s.replay()
	requireReason(t, control.ReasonNotReplayed, s.target.Commit(ctx, s.command()))
	s.handOver()
	require.NoError(t, s.source.HandOver(ctx, s.command()))
	s.commit()
	require.NoError(t, s.target.Commit(ctx, s.command()))
	require.NoError(t, s.source.Fence(ctx, s.command()))
	requireReason(t, control.ReasonWrongMode, s.source.Resume(ctx, s.command()))
	_, err = amqp091.Dial(s.source.uri())
	require.Error(t, err, "a fenced gate lets nobody through")
	s.stop()
	requireExact(t, s.p, s.moved)
}

func TestBatchesAreMigrated(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(a *app) { a.batch, a.prefetch = 7, 100 })
	s.hold()
	s.checkpoint()
	s.release()
	applied(t, s.app, 20)
	s.replay()
	applied(t, s.moved, 20)
	s.handOver()
	s.commit()
	applied(t, s.moved, 20)
	s.stop()
	// The last batch stays open; what has gone to the queue again counts as one.
	got, want := s.moved.snapshot(), s.p.want
	require.Zero(t, got.Lost+got.Doubled+got.Redone)
	require.LessOrEqual(t, got.Last, want.Last)
	requireOutputs(t, s.p, s.moved, 0)
}

// through a gate, a channel of a client.
func through(t *testing.T, g *gateProcess) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(g.uri())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

func TestRefusals(t *testing.T) {
	cases := map[string]func(*testing.T, *amqp091.Channel, string){
		"acknowledges automatically": func(t *testing.T, ch *amqp091.Channel, q string) {
			_, err := ch.Consume(q, "", true, false, false, false, nil)
			require.NoError(t, err)
		},
		"basic.get": func(t *testing.T, ch *amqp091.Channel, q string) {
			_, _, err := ch.Get(q, false)
			require.NoError(t, err)
		},
		"transaction": func(t *testing.T, ch *amqp091.Channel, _ string) { require.NoError(t, ch.Tx()) },
		"exclusive": func(t *testing.T, ch *amqp091.Channel, q string) {
			declared(t, ch, q+".x", true, false, nil)
		},
		"auto-delete": func(t *testing.T, ch *amqp091.Channel, q string) { declared(t, ch, q+".a", false, true, nil) },
		"server-named": func(t *testing.T, ch *amqp091.Channel, _ string) {
			declared(t, ch, "", false, true, nil)
		},
		"single-active-consumer": func(t *testing.T, ch *amqp091.Channel, q string) {
			declared(t, ch, q+".s", false, false, amqp091.Table{"x-single-active-consumer": true, "x-expires": 10000})
		},
		"stream": func(t *testing.T, ch *amqp091.Channel, q string) {
			require.NoError(t, ch.Qos(10, 0, false))
			_, err := ch.QueueDeclare(q+".t", true, false, false, false, amqp091.Table{"x-queue-type": "stream"})
			require.NoError(t, err)
			t.Cleanup(func() { _, _ = broker(t).QueueDelete(q+".t", false, false, false) })
			_, err = ch.Consume(q+".t", "", false, false, false, false, nil)
			require.NoError(t, err)
		},
		"no consumer": func(*testing.T, *amqp091.Channel, string) {},
	}
	for what, do := range cases {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, "open")
			do(t, through(t, g), queue(t, "in"))
			_, err := g.Hold(context.Background(), control.HoldRequest{Command: control.Command{Migration: "m"}, DrainMillis: 1000, ValidMillis: 1000})
			requireReason(t, control.ReasonRefused, err)
			require.Contains(t, err.Error(), what)
			require.Equal(t, control.ModeOpen, g.status().Mode)
		})
	}
}

// declared and consumed queue.
func declared(t *testing.T, ch *amqp091.Channel, name string, exclusive, autoDelete bool, args amqp091.Table) {
	t.Helper()
	q, err := ch.QueueDeclare(name, !exclusive && !autoDelete, autoDelete, exclusive, false, args)
	require.NoError(t, err)
	_, err = ch.Consume(q.Name, "", false, false, false, false, nil)
	require.NoError(t, err)
}

// TestLogIsDeletedLater: a target that cannot reach the broker when it is committed deletes the log once it can.
func TestLogIsDeletedLater(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.advance(phaseIndex("Replayed"))
	s.target.log.plug(false)
	require.NoError(t, s.beCommitted())
	_, err := s.source.at.channel(t).QueueDeclarePassive(s.log, true, false, false, false, nil)
	require.NoError(t, err, "the log is there")
	s.target.log.plug(true)
	require.NoError(t, s.fence())
	s.source.at.requireNoQueue(t, s.log)
	applied(t, s.moved, 10)
	s.stop()
	s.kept(s.moved)
}
