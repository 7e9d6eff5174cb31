package gate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// Interleavings that once failed, each with its cause.

// TestRoundTripEndsWithItsConnection: a hold once waited for the answer of a connection that had ended, when another had
// begun meanwhile.
func TestRoundTripEndsWithItsConnection(t *testing.T) {
	c := newCore(control.ModeHolding)
	gone, comes := newLink(), newLink()
	gone.open(1)
	c.links[gone] = struct{}{}
	answered := c.sync()
	require.False(t, answered())
	c.lost(gone)
	c.links[comes] = struct{}{}
	comes.open(1)
	require.True(t, answered())
	require.Empty(t, c.broken)
}

func deliveryOf(tag uint64) []byte {
	return amqp.AppendDelivery(nil, 1, frameMax, amqp.Message{ConsumerTag: "t", Tag: tag, Properties: []byte{0, 0}, Body: []byte("body")})
}

func publish() []byte {
	return append(raw(amqp.BasicPublish, 0, 0, 0, 1, 'q', 0), content(1, []byte("body"))...)
}

// replayTo a target whose app has subscribed, with entries to replay.
func replayTo(t *testing.T, entries int) (*core, *link) {
	t.Helper()
	c := newCore(control.ModeReplaying)
	l := subscribed(t, c)
	for n := range entries {
		e := &replaylog.Entry{Seq: uint64(n + 1), Consumer: replaylog.Consumer{Queue: "q", Tag: "t", Of: 1}, Properties: []byte{0, 0}, Body: []byte("body")}
		c.replay.waiting = append(c.replay.waiting, replaylog.Record{Entry: e, Done: func() {}})
	}
	c.pump()
	return c, l
}

// TestAckOfAllNamesWhatIsOutstanding: "all so far" became the last tag, which had been settled already: RabbitMQ closes
// the channel then.
func TestAckOfAllNamesWhatIsOutstanding(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	all := amqp.AppendAck(nil, 1, 0, true)
	feed(t, l, c.onBroker, append(deliveryOf(1), deliveryOf(2)...))
	feed(t, l, c.onApp, amqp.AppendAck(nil, 1, 2, false))
	c.setMode(control.ModeHolding)
	feed(t, l, c.onBroker, deliveryOf(3))
	l.broker.buf = nil
	feed(t, l, c.onApp, all)
	require.Equal(t, amqp.AppendAck(nil, 1, 1, true), l.broker.buf)
}

// TestDeliveriesWaitForAContentThatPasses: a delivery of the gate's came between the frames of a message that was
// returned to the app on the same channel.
func TestDeliveriesWaitForAContentThatPasses(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	c.setMode(control.ModeHolding)
	back := content(1, []byte("back"))
	returned := methodFrame(1, amqp.BasicReturn, uint16(312), "", "", "k")
	feed(t, l, c.onBroker, append(deliveryOf(1), returned...))
	l.app.buf = nil
	c.reopen()
	require.Empty(t, l.app.buf)
	feed(t, l, c.onBroker, back)
	require.Equal(t, append(back, deliveryOf(1)...), l.app.buf)
}

// TestReplayedTargetCanBeCommitted: an app that did what has effects, or acknowledged twice, between the end of its replay
// and the commit broke a migration that had been decided: nobody was active for good.
func TestReplayedTargetCanBeCommitted(t *testing.T) {
	c, l := replayTo(t, 0)
	c.setMode(control.ModeReplayed)
	for _, b := range [][]byte{
		publish(), amqp.AppendAck(nil, 1, 1, false), methodFrame(1, amqp.BasicGet, uint16(0), "q", byte(0)),
		methodFrame(1, amqp.QueuePurge, uint16(0), "q", byte(0)), methodFrame(1, amqp.QueueDeclare, uint16(0), "", byte(2), []byte(nil)),
		raw(amqp.TxSelect), raw(amqp.BasicRecover, 1),
	} {
		require.True(t, c.parks(l, frames(b)[0]), "%x", b)
	}
	feed(t, l, c.onApp, amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "automatic", NoAck: true}))
	require.Empty(t, c.broken)
}

// TestConsumerIsSubscribedAsTheOthersAreCancelled: one whose subscription was under way when the hand-over began stayed
// subscribed, and the hand-over waited for ever.
func TestConsumerIsSubscribedAsTheOthersAreCancelled(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	c.setMode(control.ModeLogging)
	feed(t, l, c.onApp, amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "late"}))
	c.setMode(control.ModeHandingOver)
	c.cancelAll()
	l.broker.buf, l.app.buf = nil, nil
	for _, tag := range []string{"t", "late"} {
		feed(t, l, c.onBroker, amqp.AppendConsumerTag(nil, 1, map[string]amqp.Method{"t": amqp.BasicCancelOk, "late": amqp.BasicConsumeOk}[tag], tag))
	}
	require.Equal(t, amqp.AppendCancel(nil, 1, "late"), l.broker.buf)
	feed(t, l, c.onBroker, amqp.AppendConsumerTag(nil, 1, amqp.BasicCancelOk, "late"))
	l.app.buf, l.broker.buf = nil, nil
	require.True(t, c.stopped())
}

// TestTargetRefusesWhatTheSourceTook: the restored app could not process a message, and refused it; nobody delivered it
// again, and it was lost with the commit.
func TestTargetRefusesWhatTheSourceTook(t *testing.T) {
	c, l := replayTo(t, 1)
	feed(t, l, c.onApp, amqp.AppendNack(nil, 1, 1))
	c.replay.end = &replaylog.End{Entries: 1, Consumers: []replaylog.Consumer{{Queue: "q"}}}
	require.True(t, c.replayed())
	require.NotEmpty(t, c.verify())
}

// TestTargetClosesItsChannel: what it had not settled was forgotten, and lost with the commit.
func TestTargetClosesItsChannel(t *testing.T) {
	c, l := replayTo(t, 1)
	require.Equal(t, 1, c.unacked)
	feed(t, l, c.onApp, raw(amqp.ChannelClose, 0, 200, 0, 0, 0, 0, 0))
	require.NotEmpty(t, c.broken)
}

// TestRecoverForgetsWhatCameMeanwhile: deliveries that the broker sent before it had the request were waited for in vain.
func TestRecoverForgetsWhatCameMeanwhile(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	feed(t, l, c.onApp, raw(amqp.BasicRecover, 1))
	feed(t, l, c.onBroker, append(deliveryOf(1), raw(amqp.BasicRecoverOk)...))
	require.Zero(t, c.unacked)
}

// TestConsumersWithOneTagOnSeveralChannels: all entries of the queue went to the first of them.
func TestConsumersWithOneTagOnSeveralChannels(t *testing.T) {
	c := newCore(control.ModeReplaying)
	l := subscribed(t, c)
	feed(t, l, c.onApp, methodFrame(2, amqp.ChannelOpen, ""))
	feed(t, l, c.onApp, amqp.AppendConsume(nil, 2, amqp.Consume{Queue: "q", Tag: "t"}))
	feed(t, l, c.onBroker, methodFrame(2, amqp.ChannelOpenOk, []byte(nil)))
	for i, a := range c.consumersOf("q") {
		to, ok := c.match(c.identify(a.consumer))
		require.True(t, ok)
		require.Equal(t, a, to, "consumer %d", i)
	}
}

// TestTagsThatAreCountedAnew: the second consumer of the target has the tag of the first of the source.
func TestTagsThatAreCountedAnew(t *testing.T) {
	c := newCore(control.ModeReplaying)
	l := subscribed(t, c)
	feed(t, l, c.onApp, amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "u"}))
	to, ok := c.match(replaylog.Consumer{Queue: "q", Tag: "u", Index: 0, Of: 2, Tags: replaylog.TagsOf([]string{"u", "v"})})
	require.True(t, ok)
	require.Equal(t, "t", to.consumer.Tag)
}

// TestConsumeIsAnsweredBeforeDeliveries: the answer waited for one that was due before it, the deliveries did not.
func TestConsumeIsAnsweredBeforeDeliveries(t *testing.T) {
	c, l := replayTo(t, 0)
	c.replay.waiting = []replaylog.Record{{Entry: &replaylog.Entry{Consumer: replaylog.Consumer{Queue: "p", Of: 1}, Properties: []byte{0, 0}}, Done: func() {}}}
	l.app.buf = nil
	feed(t, l, c.onApp, amqp.AppendQos(nil, 1, amqp.Qos{Count: 1}))
	feed(t, l, c.onApp, amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "p", Tag: "second"}))
	require.Empty(t, l.app.buf)
	feed(t, l, c.onBroker, raw(amqp.BasicQosOk))
	var got []amqp.Method
	for _, f := range frames(l.app.buf) {
		got = append(got, f.Method())
	}
	require.Equal(t, []amqp.Method{amqp.BasicQosOk, amqp.BasicConsumeOk, amqp.BasicDeliver, 0}, got)
}

// TestHalfOutputKeepsAReplayFromItsEnd: an output that the source had not made was suppressed when it had begun before the
// replay was verified and ended after it.
func TestHalfOutputKeepsAReplayFromItsEnd(t *testing.T) {
	c, l := replayTo(t, 0)
	c.replay.end = &replaylog.End{Consumers: []replaylog.Consumer{{Queue: "q"}}}
	require.True(t, c.replayed())
	all := frames(publish())
	require.NoError(t, c.onApp(l, all[0]))
	require.False(t, c.replayed())
	require.NoError(t, c.onApp(l, all[1]))
	require.NoError(t, c.onApp(l, all[2]))
	require.True(t, c.replayed())
	require.NotEmpty(t, c.verify())
}

// TestBatchOverTwoConsumers: the batch waited for a delivery behind one to another consumer of its channel, which waited
// for the batch.
func TestBatchOverTwoConsumers(t *testing.T) {
	c := newCore(control.ModeOpen)
	l := subscribed(t, c)
	feed(t, l, c.onApp, amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "p", Tag: "u"}))
	feed(t, l, c.onBroker, amqp.AppendConsumerTag(nil, 1, amqp.BasicConsumeOk, "u"))
	l.channels[1].Batches = true
	c.setMode(control.ModeLogging)
	feed(t, l, c.onBroker, deliveryOf(1))
	feed(t, l, c.onBroker, amqp.AppendDelivery(nil, 1, frameMax, amqp.Message{ConsumerTag: "u", Tag: 2, Properties: []byte{0, 0}}))
	require.Equal(t, 1, c.unacked)
	c.progress = c.progress.Add(-patience)
	c.pump()
	require.Equal(t, 2, c.unacked)
}
