package gate

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// raw method of channel 1 with arguments.
func raw(m amqp.Method, args ...byte) []byte {
	return frame(amqp.FrameMethod, 1, append(binary.BigEndian.AppendUint32(nil, uint32(m)), args...))
}

func frame(kind byte, channel uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), 0xCE)
}

// methodFrame with arguments: strings are short strings, byte slices long ones or tables.
func methodFrame(channel uint16, m amqp.Method, args ...any) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(m))
	for _, a := range args {
		switch a := a.(type) {
		case byte:
			b = append(b, a)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, a)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, a)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, a)
		case string:
			b = append(append(b, byte(len(a))), a...)
		case []byte:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(a))), a...)
		default:
			panic(a)
		}
	}
	return frame(amqp.FrameMethod, channel, b)
}

// content frames of a message without properties.
func content(channel uint16, body []byte) []byte {
	whole := amqp.AppendDelivery(nil, channel, frameMax, amqp.Message{Properties: []byte{0, 0}, Body: body})
	return whole[len(frames(whole)[0].Raw):]
}

// frames of what is in b, copied.
func frames(b []byte) (all []amqp.Frame) {
	b = bytes.Clone(b)
	for len(b) > 0 {
		n := unit(b)
		all = append(all, amqp.Frame{Type: b[0], Channel: binary.BigEndian.Uint16(b[1:]), Raw: b[:n:n]})
		b = b[n:]
	}
	return all
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
