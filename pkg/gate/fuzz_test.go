package gate

import (
	"bytes"
	"testing"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// FuzzCore: whatever app and broker send, in any mode, the gate neither panics nor keeps deliveries without bound.
func FuzzCore(f *testing.F) {
	delivery := amqp.AppendDelivery(nil, 1, 4096, amqp.Message{ConsumerTag: "t", Tag: 1, Properties: []byte{0, 0}, Body: []byte("body")})
	open := append(raw(amqp.ChannelOpen, 0), amqp.AppendConsume(nil, 1, amqp.Consume{Queue: "q", Tag: "t"})...)
	answers := append(amqp.AppendEmpty(nil, 1, amqp.ChannelOpenOk), amqp.AppendConsumerTag(nil, 1, amqp.BasicConsumeOk, "t")...)
	for mode := range modes {
		f.Add(uint8(mode), append(bytes.Clone(open), amqp.AppendAck(nil, 1, 1, false)...), append(bytes.Clone(answers), delivery...))
		f.Add(uint8(mode), append(bytes.Clone(open), raw(amqp.BasicPublish, 0, 0, 0, 1, 'q', 0)...), append(bytes.Clone(answers), raw(amqp.ChannelClose, 1, 1, 0, 0, 0, 0, 0)...))
		f.Add(uint8(mode), append(bytes.Clone(open), raw(amqp.ChannelClose, 1, 1, 0, 0, 0, 0, 0)...), append(bytes.Clone(answers), delivery[:len(delivery)-12]...))
	}
	f.Fuzz(func(t *testing.T, mode uint8, fromApp, fromBroker []byte) {
		c, l := newCore(control.ModeOpen), newLink()
		c.links[l] = struct{}{}
		c.setMode(modes[int(mode)%len(modes)])
		app, broker := amqp.NewReader(bytes.NewReader(fromApp)), amqp.NewReader(bytes.NewReader(fromBroker))
		for more := true; more; {
			more = false
			if frame, err := app.Next(); err == nil && !c.parks(l, frame) {
				more = c.onApp(l, frame) == nil
			}
			if frame, err := broker.Next(); err == nil {
				more = c.onBroker(l, frame) == nil || more
			}
			c.settled()
			c.refusals()
		}
		c.reopen()
		c.lost(l)
		if c.unacked != 0 || len(c.waiting.list) != 0 || c.waiting.bytes != 0 {
			t.Fatalf("%d unacked, %d waiting after the link's end", c.unacked, len(c.waiting.list))
		}
	})
}
