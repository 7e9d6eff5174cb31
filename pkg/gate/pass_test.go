package gate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// passed is an app that takes messages, publishes an output for each and acknowledges it, at a gate that is open.
type passed struct {
	c *core
	l *link
	// What each side sends for one message, and the places of the tags in it.
	fromBroker, fromApp, confirm  way
	deliveryTag, ackTag, numberAt int
	tag                           uint64
}

// way of a link, whose frames are read from a buffer.
type way struct {
	frames []byte
	unread []byte
	reader *amqp.Reader
}

func (s *way) Read(b []byte) (int, error) {
	if len(s.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

func newPassed(t testing.TB, size int) *passed {
	p := &passed{c: newCore(control.ModeOpen), l: newLink()}
	p.c.links[p.l] = struct{}{}
	p.l.app.w, p.l.broker.w = io.Discard, io.Discard
	message := amqp.AppendDelivery(nil, 1, 128<<10, amqp.Message{
		ConsumerTag: "t", RoutingKey: "q", Properties: []byte{0, 0}, Body: bytes.Repeat([]byte{'b'}, size),
	})
	method := frames(message)[0].Raw
	publish := raw(amqp.BasicPublish, 0, 0, 0, 1, 'q', 0)
	p.fromBroker.frames, p.deliveryTag = message, 7+4+2
	p.fromApp.frames = append(append(publish, message[len(method):]...), amqp.AppendAck(nil, 1, 1, false)...)
	p.ackTag = len(p.fromApp.frames) - 1 - 1 - 8
	p.confirm.frames, p.numberAt = amqp.AppendAck(nil, 1, 1, false), 7+4
	for _, s := range []*way{&p.fromBroker, &p.fromApp, &p.confirm} {
		s.reader = amqp.NewReader(s)
	}
	app := append(raw(amqp.ChannelOpen, 0), raw(amqp.ConfirmSelect, 0)...)
	app = append(app, amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "t"})...)
	broker := append(amqp.AppendEmpty(nil, 1, amqp.ChannelOpenOk), amqp.AppendEmpty(nil, 1, amqp.ConfirmSelectOk)...)
	broker = append(broker, amqp.AppendConsumerTag(nil, 1, amqp.BasicConsumeOk, "t")...)
	for _, f := range frames(app) {
		require.NoError(t, p.c.onApp(p.l, f))
	}
	for _, f := range frames(broker) {
		require.NoError(t, p.c.onBroker(p.l, f))
	}
	return p
}

// message passes with all that belongs to it.
func (p *passed) message() error {
	p.tag++
	binary.BigEndian.PutUint64(p.fromBroker.frames[p.deliveryTag:], p.tag)
	binary.BigEndian.PutUint64(p.fromApp.frames[p.ackTag:], p.tag)
	binary.BigEndian.PutUint64(p.confirm.frames[p.numberAt:], p.tag)
	onBroker := func(f amqp.Frame) error { return p.c.onBroker(p.l, f) }
	onApp := func(f amqp.Frame) error { return p.c.onApp(p.l, f) }
	return errors.Join(
		p.pass(&p.fromBroker, p.l.app, onBroker), p.pass(&p.fromApp, p.l.broker, onApp), p.pass(&p.confirm, p.l.app, onBroker))
}

func (p *passed) pass(s *way, to *outbox, do func(amqp.Frame) error) error {
	s.unread = s.frames
	for len(s.unread) > 0 || s.reader.Buffered() {
		if err := p.c.pass(p.l, direction{s.reader, to, &p.l.alive.appSeen, p.c.added.app}, do); err != nil {
			return err
		}
	}
	return nil
}

var passedSizes = []int{100, 1 << 10, 64 << 10}

// TestPassingAllocatesNothing: what passes leaves no garbage, so that the gate's memory and pauses stay what they are.
func TestPassingAllocatesNothing(t *testing.T) {
	for _, size := range passedSizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := newPassed(t, size)
			var err error
			perMessage := testing.AllocsPerRun(1000, func() { err = errors.Join(err, p.message()) })
			require.NoError(t, err)
			require.Zero(t, perMessage)
			require.Equal(t, p.tag, p.c.forwarded)
			require.True(t, p.c.settled())
		})
	}
}

// BenchmarkPassing is the gate's own work for a message and its output, without system calls.
func BenchmarkPassing(b *testing.B) {
	for _, size := range passedSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := newPassed(b, size)
			b.ReportAllocs()
			b.SetBytes(int64(2 * size))
			for b.Loop() {
				if err := p.message(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
