package amqp

import (
	"bytes"
	"testing"
)

// FuzzReader: whatever a peer sends, frames are what was sent, and nothing panics or allocates beyond the limit.
func FuzzReader(f *testing.F) {
	f.Add(AppendDelivery(nil, 1, 4096, Message{ConsumerTag: "t", Tag: 1, RoutingKey: "q", Properties: []byte{0, 0}, Body: make([]byte, 5000)}))
	f.Add(AppendConsume(nil, 1, Consume{Queue: "q", Arguments: []byte{1, 'a', 't', 1}}))
	f.Add(append(AppendQos(nil, 1, Qos{Count: 1}), Heartbeat...))
	f.Add(method(nil, 1, QueueDeclare).u16(0).short("q").u8(31).long([]byte{1, 'a', 'F', 0, 0, 0, 0}).end())
	f.Add(method(nil, 0, ConnectionTune).u16(0).u32(131072).u16(60).end())
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		r.SetMax(64 << 10)
		var c Content
		var all []byte
		for {
			frame, err := r.Next()
			if err != nil {
				break
			}
			all = append(all, frame.Raw...)
			_, _ = c.Step(frame)
			decodeAll(frame)
		}
		if !bytes.HasPrefix(b, all) {
			t.Fatalf("frames are not what was sent: %x of %x", all, b)
		}
	})
}

// decodeAll with every decoder: what does not fit must be an error, not a panic.
func decodeAll(f Frame) {
	if f.Type == FrameHeader {
		CanonicalProperties(nil, Properties(f))
	}
	if f.Type != FrameMethod {
		return
	}
	_, _ = DecodeTune(f)
	_, _ = DecodeOpen(f)
	_, _, _ = DecodeClose(f)
	_, _ = DecodeDelivery(f)
	_, _ = DecodeSettlement(f)
	_, _ = DecodeTag(f)
	_, _ = DecodePublish(f)
	_, _ = DecodeConsume(f)
	_, _, _ = DecodeConsumerTag(f)
	_, _ = DecodeQos(f)
	_, _, _ = DecodeQueueDeclareOk(f)
	_, _ = NoWait(f)
	if d, err := DecodeQueueDeclare(f); err == nil {
		HasTableKey(d.Arguments, "x-queue-type", "stream")
		_ = SetPassive(f)
	}
}

// FuzzCanonicalProperties: the form of a form is stable, and parsing ends.
func FuzzCanonicalProperties(f *testing.F) {
	f.Add([]byte{0x20, 0, 0, 0, 0, 7, 1, 'a', 'F', 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if !bytes.Equal(CanonicalProperties(nil, b), CanonicalProperties(nil, bytes.Clone(b))) {
			t.Fatal("not a function of its input")
		}
	})
}
