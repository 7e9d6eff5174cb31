package amqp

import (
	"encoding/binary"
	"fmt"
)

// headerFixed bytes of a header frame: class, weight, body size, first property flags.
const headerFixed = 2 + 2 + 8 + 2

// BodySize of a header frame's content.
func BodySize(f Frame) uint64 { return binary.BigEndian.Uint64(f.Payload()[4:]) }

// Properties of a header frame: flags and values, a part of the frame.
func Properties(f Frame) []byte { return f.Payload()[headerFixed-2:] }

// Content follows the frames of one message on one channel in one direction.
type Content struct {
	header bool
	left   uint64
	open   bool
}

// Open tells whether a message has begun and not ended.
func (c *Content) Open() bool { return c.open }

// Step takes the next frame of the channel and tells whether it ends a message.
func (c *Content) Step(f Frame) (ends bool, err error) {
	switch {
	case f.Type == FrameMethod && !c.open:
		if f.Method().HasContent() {
			c.open, c.header = true, true
		}
		return false, nil
	case f.Type == FrameHeader && c.open && c.header:
		if class := binary.BigEndian.Uint16(f.Payload()); class != ClassBasic {
			return false, unexpectedFrame(f)
		}
		c.header, c.left = false, BodySize(f)
	case f.Type == FrameBody && c.open && !c.header && uint64(len(f.Payload())) <= c.left:
		c.left -= uint64(len(f.Payload()))
	default:
		return false, unexpectedFrame(f)
	}
	c.open = c.header || c.left > 0
	return !c.open, nil
}

func unexpectedFrame(f Frame) error {
	return &Error{Code: CodeUnexpectedFrame, Text: fmt.Sprintf("unexpected frame of type %d on channel %d", f.Type, f.Channel)}
}
