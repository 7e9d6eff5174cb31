//go:build integration

package gate

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// strange is a queue that somebody else has declared, and why its consumers are refused; empty if they are not.
type strange struct {
	transient, autoDelete bool
	args                  amqp091.Table
	// others consume from it too.
	others bool
	says   string
}

var stranges = map[string]strange{
	"classic":                   {},
	"transient":                 {transient: true},
	"quorum":                    {args: amqp091.Table{"x-queue-type": "quorum"}},
	"auto-delete":               {autoDelete: true, says: "is auto-delete"},
	"auto-delete and transient": {transient: true, autoDelete: true, says: "is auto-delete"},
	"stream":                    {args: amqp091.Table{"x-queue-type": "stream"}, says: "is a stream"},
	"stream with arguments":     {args: amqp091.Table{"x-queue-type": "stream", "x-max-length-bytes": 1 << 20, "x-max-age": "1h"}, says: "is a stream"},
	"arguments": {args: amqp091.Table{
		"x-message-ttl": int64(4294967295), "x-expires": 600000, "x-max-length": 10, "x-max-length-bytes": 1 << 20, "x-max-priority": 5,
		"x-overflow": "reject-publish", "x-dead-letter-exchange": "an ' of type 'exchange", "x-dead-letter-routing-key": "",
		"x-single-active-consumer": false, "x-queue-type": "classic", "x-unknown": "to the broker",
	}},
	"arguments of quorum": {args: amqp091.Table{
		"x-queue-type": "quorum", "x-delivery-limit": 5, "x-overflow": "drop-head", "x-dead-letter-exchange": "amq.direct",
		"x-dead-letter-strategy": "at-most-once", "x-max-length": 100, "x-quorum-initial-group-size": 1,
	}},
	"expires soon":                      {args: amqp091.Table{"x-expires": 30000}, says: "is deleted by the broker when nobody consumes from it for 30s"},
	"single active consumer":            {args: amqp091.Table{"x-single-active-consumer": true}, says: "is a single-active-consumer queue"},
	"single active consumer and others": {args: amqp091.Table{"x-single-active-consumer": true}, others: true, says: "is a single-active-consumer queue"},
	"quorum, single active consumer and others": {
		args: amqp091.Table{"x-queue-type": "quorum", "x-single-active-consumer": true}, others: true, says: "is a single-active-consumer queue",
	},
}

// declare it on a connection that is not the app's, with messages in it.
func (s strange) declare(t *testing.T) (name string) {
	t.Helper()
	ch := broker(t)
	name = fmt.Sprintf("strange.%d", time.Now().UnixNano())
	_, err := ch.QueueDeclare(name, !s.transient, s.autoDelete, false, false, s.args)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = broker(t).QueueDelete(name, false, false, false) })
	require.NoError(t, ch.Confirm(false))
	for range 3 {
		confirm, err := ch.PublishWithDeferredConfirm("", name, true, false, amqp091.Publishing{Body: []byte("m")})
		require.NoError(t, err)
		require.True(t, confirm.Wait())
	}
	return name
}

func consumed(t *testing.T, ch *amqp091.Channel, name string) <-chan amqp091.Delivery {
	t.Helper()
	require.NoError(t, ch.Qos(10, 0, false))
	m, err := ch.Consume(name, "", false, false, false, false, amqp091.Table{})
	require.NoError(t, err)
	return m
}

// requireAcked waits for a delivery and acknowledges it.
func requireAcked(t *testing.T, m <-chan amqp091.Delivery) {
	t.Helper()
	select {
	case d := <-m:
		require.NoError(t, d.Ack(false))
	case <-time.After(patience):
		t.Fatal("no delivery")
	}
}

// TestQueuesOfOthers: what a queue is comes from the broker, whoever declared it, before anything is touched.
func TestQueuesOfOthers(t *testing.T) {
	for what, s := range stranges {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			name := s.declare(t)
			g := startGate(t, "open")
			ch := through(t, g)
			m := consumed(t, ch, name)
			if s.others {
				consumed(t, broker(t), name)
			}
			status, err := g.Inspect(t.Context())
			require.NoError(t, err)
			if s.says == "" {
				require.Empty(t, status.Refusals)
			} else {
				require.Len(t, status.Refusals, 1)
				require.Contains(t, status.Refusals[0], s.says)
				_, err = g.Hold(context.Background(), control.HoldRequest{Command: control.Command{Migration: "m"}, DrainMillis: 1000, ValidMillis: 1000})
				requireReason(t, control.ReasonRefused, err)
			}
			// The app notices nothing: its channel is open, and all messages come.
			if s.args["x-queue-type"] != "stream" {
				for range 3 {
					requireAcked(t, m)
				}
			}
			_, err = ch.QueueDeclarePassive(name, !s.transient, s.autoDelete, false, false, nil)
			require.NoError(t, err)
			require.Equal(t, control.ModeOpen, g.status().Mode)
		})
	}
}

// TestSubscribedDuringMigration: a consumer that comes between hold and hand-over is looked at before it would be
// cancelled, which an auto-delete queue would not survive.
func TestSubscribedDuringMigration(t *testing.T) {
	t.Parallel()
	strange := strange{autoDelete: true}
	name := strange.declare(t)
	s := newScene(t, nil)
	s.hold()
	s.checkpoint()
	s.release()
	ch := through(t, s.source)
	require.NoError(t, ch.Qos(1, 0, false))
	m := consumed(t, ch, name)
	requireAcked(t, m)
	err := s.source.HandOver(context.Background(), s.command())
	requireReason(t, control.ReasonBroken, err)
	require.ErrorContains(t, err, "is auto-delete")
	s.moved.stop()
	requireAcked(t, m)
	requireAcked(t, m)
	_, err = ch.QueueDeclarePassive(name, true, true, false, false, nil)
	require.NoError(t, err, "the queue is still there")
	s.resume()
	s.exact()
}
