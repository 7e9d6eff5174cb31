package gate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// subscribed link of an app with one channel and one consumer.
func subscribed(t *testing.T, c *core) *link {
	t.Helper()
	c.mu.Lock() // against timers
	t.Cleanup(c.mu.Unlock)
	l := newLink()
	c.links[l] = struct{}{}
	app := append(raw(amqp.ChannelOpen, 0), amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "t"})...)
	feed(t, l, c.onApp, app)
	feed(t, l, c.onBroker, append(amqp.AppendEmpty(nil, 1, amqp.ChannelOpenOk), amqp.AppendConsumerTag(nil, 1, amqp.BasicConsumeOk, "t")...))
	return l
}

func feed(t *testing.T, l *link, to func(*link, amqp.Frame) error, b []byte) {
	t.Helper()
	for _, f := range frames(b) {
		require.NoError(t, to(l, f))
	}
}

func TestBrokerClosesChannelWithinAPublish(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	content := frames(amqp.AppendDelivery(nil, 1, 4096, amqp.Message{Properties: []byte{0, 0}, Body: []byte("body")}))
	feed(t, l, c.onApp, append(raw(amqp.BasicPublish, 0, 0, 0, 1, 'q', 0), content[1].Raw...))
	feed(t, l, c.onBroker, raw(amqp.ChannelClose, 1, 0x96, 0, 0, 0, 0, 0))
	feed(t, l, c.onApp, append(content[2].Raw, raw(amqp.ChannelCloseOk)...))
	require.Empty(t, l.channels)
}

func TestAppClosesChannelWithinAHeldDelivery(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	c.setMode(control.ModeHolding)
	delivery := frames(amqp.AppendDelivery(nil, 1, 4096, amqp.Message{ConsumerTag: "t", Tag: 1, Properties: []byte{0, 0}, Body: []byte("body")}))
	feed(t, l, c.onBroker, append(delivery[0].Raw, delivery[1].Raw...))
	feed(t, l, c.onApp, raw(amqp.ChannelClose, 0, 200, 0, 0, 0, 0, 0))
	feed(t, l, c.onBroker, append(delivery[2].Raw, raw(amqp.ChannelCloseOk)...))
	require.Empty(t, c.waiting.list)
	require.Empty(t, l.channels)
}

// TestAckOfAllSparesWhatWaits: "all so far" is what the app has seen, not what the gate holds back.
func TestAckOfAllSparesWhatWaits(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	deliver := func(tag uint64) {
		feed(t, l, c.onBroker, amqp.AppendDelivery(nil, 1, 4096, amqp.Message{ConsumerTag: "t", Tag: tag, Properties: []byte{0, 0}}))
	}
	deliver(1)
	deliver(2)
	c.setMode(control.ModeHolding)
	deliver(3)
	l.broker.buf = nil
	feed(t, l, c.onApp, amqp.AppendAck(nil, 1, 0, true))
	require.Equal(t, amqp.AppendAck(nil, 1, 2, true), l.broker.buf)
	require.Zero(t, c.unacked)
	require.Len(t, c.waiting.list, 1)
}

// TestPublishesAreConfirmedWithoutTheAppKnowing: the app asked for no confirms and sees none.
func TestPublishesAreConfirmedWithoutTheAppKnowing(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	l.broker.buf, l.app.buf = nil, nil
	content := amqp.AppendDelivery(nil, 1, 4096, amqp.Message{Properties: []byte{0, 0}, Body: []byte("body")})
	publish := append(raw(amqp.BasicPublish, 0, 0, 0, 1, 'q', 0), content[len(frames(content)[0].Raw):]...)
	feed(t, l, c.onApp, publish)
	require.Equal(t, append(amqp.AppendConfirmSelect(nil, 1), publish...), l.broker.buf)
	l.broker.buf = nil
	require.False(t, c.settled())
	feed(t, l, c.onBroker, amqp.AppendAck(nil, 1, 1, false))
	require.True(t, c.settled())
	require.Empty(t, l.app.buf)
}
