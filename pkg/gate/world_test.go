package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// world is a naive model of a broker with one queue, and of apps behind gates, in which frames move one at a time.
type world struct {
	*rapid.T
	// sent is the number of the last message; ready are those in the queue, in order.
	sent    uint64
	ready   []uint64
	outputs []uint64
	log     [][]byte
}

// state of an app.
type state struct {
	last  uint64
	chain [32]byte
}

func (s *state) apply(n uint64) {
	s.last = n
	s.chain = sha256.Sum256(binary.BigEndian.AppendUint64(s.chain[:], n))
}

// instance of the app with its gate and its session at the broker.
type instance struct {
	w *world
	c *core
	l *link

	// Frames on their way.
	appToGate, gateToApp, gateToBroker, brokerToGate []amqp.Frame

	app state
	// got deliveries that the app has not processed; unsettled ones it has.
	got       []uint64 // pairs of tag and message
	tag       uint64   // of the delivery whose content is coming
	unsettled int
	batch     int
	published uint64
	confirmed uint64

	prefetch   int
	subscribed string
	nextTag    uint64
	unacked    [][2]uint64 // tag, message
	confirms   bool
	// received publishes at the broker since the select; publishes that the app has seen confirmed.
	received, publishes uint64
}

func newInstance(w *world, mode control.Mode, app state, prefetch, batch int) *instance {
	i := &instance{w: w, c: newCore(mode), l: newLink(), app: app, prefetch: prefetch, batch: batch}
	i.l.Tune = amqp.Tune{FrameMax: 4096}
	i.c.links[i.l] = struct{}{}
	i.say(raw(amqp.ChannelOpen, 0))
	i.say(amqp.AppendQos(nil, 1, amqp.Qos{Count: uint16(prefetch)}))
	i.say(raw(amqp.ConfirmSelect, 0))
	i.say(amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "tag"}))
	return i
}

// raw method of channel 1 with arguments.
func raw(m amqp.Method, args ...byte) []byte {
	b := []byte{amqp.FrameMethod, 0, 1, 0, 0, 0, byte(4 + len(args))}
	b = binary.BigEndian.AppendUint32(b, uint32(m))
	return append(append(b, args...), 0xCE)
}

// frames of what is in b, copied.
func frames(b []byte) (all []amqp.Frame) {
	b = bytes.Clone(b)
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint32(b[3:])) + amqp.Overhead
		all = append(all, amqp.Frame{Type: b[0], Channel: binary.BigEndian.Uint16(b[1:]), Raw: b[:n:n]})
		b = b[n:]
	}
	return all
}

func (i *instance) say(b []byte) { i.appToGate = append(i.appToGate, frames(b)...) }

// collect what the gate wants to write.
func (i *instance) collect() {
	take := func(o *outbox) []amqp.Frame {
		all := frames(o.buf)
		o.buf = nil
		return all
	}
	i.gateToApp = append(i.gateToApp, take(i.l.app)...)
	i.gateToBroker = append(i.gateToBroker, take(i.l.broker)...)
}

// step moves one thing on; false when there was none of that kind.
func (i *instance) step(kind int) bool {
	defer i.collect()
	pop := func(q *[]amqp.Frame) (f amqp.Frame, ok bool) {
		if len(*q) > 0 {
			f, ok, *q = (*q)[0], true, (*q)[1:]
		}
		return f, ok
	}
	switch kind {
	case 0:
		if len(i.appToGate) == 0 || i.c.parks(i.l, i.appToGate[0]) {
			return false
		}
		f, _ := pop(&i.appToGate)
		require.NoError(i.w, i.c.onApp(i.l, f))
		return true
	case 1:
		f, ok := pop(&i.brokerToGate)
		if ok {
			require.NoError(i.w, i.c.onBroker(i.l, f))
		}
		return ok
	case 2:
		f, ok := pop(&i.gateToApp)
		if ok {
			i.atApp(f)
		}
		return ok
	case 3:
		f, ok := pop(&i.gateToBroker)
		if ok {
			i.atBroker(f)
		}
		return ok
	case 4:
		return i.deliver()
	}
	return i.work()
}

const kinds = 6

// deliver the next message of the queue.
func (i *instance) deliver() bool {
	w := i.w
	if i.subscribed == "" || len(w.ready) == 0 || len(i.unacked) >= i.prefetch {
		return false
	}
	i.nextTag++
	n := w.ready[0]
	w.ready = w.ready[1:]
	i.unacked = append(i.unacked, [2]uint64{i.nextTag, n})
	i.brokerToGate = append(i.brokerToGate, frames(amqp.AppendDelivery(nil, 1, 4096, amqp.Message{
		ConsumerTag: i.subscribed, Tag: i.nextTag, RoutingKey: "q",
		Properties: []byte{0, 0}, Body: binary.BigEndian.AppendUint64(nil, n),
	}))...)
	return true
}

// work of the app: process a delivery, publish its output, and settle it once that is confirmed.
func (i *instance) work() bool {
	if len(i.got) == 0 || i.published != i.confirmed {
		return false
	}
	tag, n := i.got[0], i.got[1]
	if i.published == n { // the output of this one is confirmed
		i.got = i.got[2:]
		if i.unsettled++; i.unsettled == i.batch {
			i.unsettled = 0
			i.say(amqp.AppendAck(nil, 1, tag, i.batch > 1))
		}
		return true
	}
	require.Equal(i.w, i.app.last+1, n, "messages are applied in order, once")
	i.app.apply(n)
	// The app numbers its outputs like the messages.
	i.published, i.confirmed = n, n-1
	content := frames(amqp.AppendDelivery(nil, 1, 4096, amqp.Message{Properties: []byte{0, 0}, Body: binary.BigEndian.AppendUint64(nil, n)}))
	i.say(raw(amqp.BasicPublish, 0, 0, 0, 3, 'o', 'u', 't', 0))
	i.appToGate = append(i.appToGate, content[1:]...)
	return true
}

// atApp is the client library of the app.
func (i *instance) atApp(f amqp.Frame) {
	switch {
	case f.Type == amqp.FrameBody:
		i.got = append(i.got, i.tag, binary.BigEndian.Uint64(f.Payload()))
	case f.Method() == amqp.BasicDeliver:
		d, err := amqp.DecodeDelivery(f)
		require.NoError(i.w, err)
		i.tag = d.Tag
	case f.Method() == amqp.BasicAck:
		s, err := amqp.DecodeSettlement(f)
		require.NoError(i.w, err)
		i.publishes++
		require.Equal(i.w, i.publishes, s.Tag, "confirms are numbered from the app's select")
		i.confirmed = i.published
	case f.Method() == amqp.BasicCancelOk || f.Method() == amqp.ChannelFlowOk:
		i.w.Fatal("the app sees an answer to the gate")
	}
}

// atBroker is the broker.
func (i *instance) atBroker(f amqp.Frame) {
	answer := func(b []byte) { i.brokerToGate = append(i.brokerToGate, frames(b)...) }
	switch m := f.Method(); m {
	case amqp.BasicConsume:
		k, err := amqp.DecodeConsume(f)
		require.NoError(i.w, err)
		require.Empty(i.w, i.subscribed)
		i.subscribed = k.Tag
		answer(amqp.AppendConsumerTag(nil, 1, amqp.BasicConsumeOk, k.Tag))
	case amqp.BasicCancel:
		answer(amqp.AppendConsumerTag(nil, 1, amqp.BasicCancelOk, i.subscribed))
		i.subscribed = ""
	case amqp.ConfirmSelect:
		i.confirms = true
		answer(amqp.AppendEmpty(nil, 1, m.Reply()))
	case amqp.BasicQos, amqp.ChannelOpen, amqp.ChannelFlow:
		answer(amqp.AppendEmpty(nil, 1, m.Reply()))
	case amqp.BasicAck, amqp.BasicNack:
		i.settle(f)
	case 0:
		if f.Type == amqp.FrameBody {
			i.w.outputs = append(i.w.outputs, binary.BigEndian.Uint64(f.Payload()))
			require.True(i.w, i.confirms)
			i.received++
			answer(amqp.AppendAck(nil, 1, i.received, false))
		}
	}
}

func (i *instance) settle(f amqp.Frame) {
	s, err := amqp.DecodeSettlement(f)
	require.NoError(i.w, err)
	found := false
	i.unacked = slices.DeleteFunc(i.unacked, func(u [2]uint64) bool {
		hit := u[0] == s.Tag || s.Multiple && u[0] < s.Tag
		found = found || hit
		if hit && s.Requeue {
			i.w.requeue(u[1])
		}
		return hit
	})
	require.True(i.w, found, "unknown delivery tag %d", s.Tag)
}

func (w *world) requeue(n uint64) {
	w.ready = append(w.ready, n)
	slices.Sort(w.ready)
}
