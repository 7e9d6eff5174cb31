//go:build integration

package gate

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

// rest is an app with one delivery in its hands, which is to come to rest.
type rest struct {
	t       *testing.T
	b       *rabbitmq.Broker
	g       *gateProcess
	conn    *valve
	ch      *amqp091.Channel
	in, out string
	m       amqp091.Delivery
}

func newRest(t *testing.T, b *rabbitmq.Broker) *rest {
	at := siteOf(b)
	r := &rest{t: t, b: b, g: at.startGate(t, "open"), in: at.queue(t, "in"), out: at.queue(t, "out")}
	conn, err := amqp091.DialConfig(r.g.uri(), amqp091.Config{Dial: func(network, address string) (_ net.Conn, err error) {
		r.conn, err = dialValve(network, address)
		return r.conn, err
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.conn.Close() })
	r.ch, err = conn.Channel()
	require.NoError(t, err)
	require.NoError(t, r.ch.Confirm(false))
	_, err = conn.Channel()
	require.NoError(t, err)
	messages, err := r.ch.Consume(r.in, "", false, false, false, false, nil)
	require.NoError(t, err)
	at.newProducer(t, r.in).send()
	r.m = <-messages
	return r
}

// hold in the background.
func (r *rest) hold(drain time.Duration) <-chan error {
	r.t.Helper()
	result := make(chan error, 1)
	go func() {
		_, err := r.g.Hold(context.Background(), control.HoldRequest{
			Command: control.Command{Migration: r.in, Epoch: 1}, Log: "ms2m.replay." + r.in,
			DrainMillis: drain.Milliseconds(), ValidMillis: patience.Milliseconds(),
		})
		result <- err
	}()
	return result
}

func (r *rest) freeze() {
	r.t.Cleanup(r.thaw)
	require.NoError(r.t, r.b.Freeze())
}

func (r *rest) thaw() { require.NoError(r.t, r.b.Thaw()) }

// ack the delivery, and wait until the gate has seen it and everything before it.
func (r *rest) ack() {
	r.t.Helper()
	require.NoError(r.t, r.m.Ack(false))
	eventually(r.t, "the gate sees the acknowledgement", func() bool { return r.g.status().Unacked == 0 })
}

func (r *rest) publish() {
	require.NoError(r.t, r.ch.Publish("", r.out, false, false, amqp091.Publishing{Body: []byte("once")}))
}

// raw writes a frame on the second channel, behind the client library's back.
func (r *rest) raw(kind byte, payload []byte) {
	f := binary.BigEndian.AppendUint32([]byte{kind, 0, 2}, uint32(len(payload)))
	_, err := r.conn.Write(append(append(f, payload...), 0xce))
	require.NoError(r.t, err)
}

// publishHalf sends a publish but for its body.
func (r *rest) publishHalf() {
	method := append([]byte{0, 60, 0, 40, 0, 0, 0, byte(len(r.out))}, r.out...)
	r.raw(amqp.FrameMethod, append(method, 0))
	r.raw(amqp.FrameHeader, []byte{0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0})
}

// unrest is what keeps an app from standing between two messages, until it ends.
var unrest = map[string]struct {
	begin, end func(*rest)
	says       string
	// published messages, once it has ended.
	published int
}{
	"a delivery not acknowledged":         {func(*rest) {}, (*rest).ack, "1 deliveries not acknowledged", 0},
	"an acknowledgement not taken":        {func(r *rest) { r.freeze(); r.ack() }, (*rest).thaw, "answers due from the broker", 0},
	"a publish not confirmed":             {func(r *rest) { r.freeze(); r.publish(); r.ack() }, (*rest).thaw, "1 publishes not confirmed", 1},
	"a method not answered":               {(*rest).askInVain, (*rest).thaw, "answers due from the broker", 0},
	"a confirm that the app has not read": {func(r *rest) { r.conn.shutReads(); r.publish(); r.ack() }, func(r *rest) { r.conn.openReads() }, "does not read what it is sent", 1},
	"a publish half-sent":                 {func(r *rest) { r.publishHalf(); r.ack() }, func(r *rest) { r.raw(amqp.FrameBody, []byte("once")) }, "1 publishes half-sent", 1},
}

// askInVain asks a broker that is frozen.
func (r *rest) askInVain() {
	r.freeze()
	before := r.conn.written.Load()
	go func() { _, _ = r.ch.QueueDeclarePassive(r.out, true, false, false, false, nil) }()
	eventually(r.t, "the question is sent", func() bool { return r.conn.written.Load() > before })
	r.ack()
}

// requireTaken checks that nothing comes back once the app and its gate have gone.
func (r *rest) requireTaken(published int) {
	r.t.Helper()
	r.g.kill()
	ch := r.g.at.channel(r.t)
	for name, want := range map[string]int{r.in: 0, r.out: published} {
		eventually(r.t, "queue "+name, func() bool {
			q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
			require.NoError(r.t, err)
			return q.Messages == want && q.Consumers == 0
		})
	}
}

func TestDrain(t *testing.T) {
	b := startBroker(t)
	for name, u := range unrest {
		t.Run("waits for "+name, func(t *testing.T) {
			r := newRest(t, b)
			held := r.hold(patience)
			r.g.awaitMode(control.ModeHolding)
			u.begin(r)
			require.Equal(t, control.ModeHolding, r.g.status().Mode)
			u.end(r)
			require.NoError(t, <-held)
			r.requireTaken(u.published)
		})
		t.Run("gives up on "+name, func(t *testing.T) {
			r := newRest(t, b)
			held := r.hold(time.Second)
			r.g.awaitMode(control.ModeHolding)
			u.begin(r)
			err := <-held
			requireReason(t, control.ReasonNotDrained, err)
			require.ErrorContains(t, err, u.says)
			require.Equal(t, control.ModeOpen, r.g.status().Mode)
			u.end(r)
			require.NoError(t, <-r.hold(patience))
			r.requireTaken(u.published)
		})
	}
}
