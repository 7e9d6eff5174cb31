package amqp

import (
	"encoding/binary"
	"fmt"
)

// Types of frames.
const (
	FrameMethod    = 1
	FrameHeader    = 2
	FrameBody      = 3
	FrameHeartbeat = 8
)

const (
	frameHead = 7    // type, channel, size
	frameEnd  = 0xCE // after the payload
	// Overhead of a frame: what its size field does not count.
	Overhead = frameHead + 1
	// HandshakeFrameMax bounds frames until the limit is negotiated.
	HandshakeFrameMax = 128 << 10
	// FrameLimit bounds frames when the peers negotiated no limit.
	FrameLimit = 16 << 20
)

// Frame as it came. Raw is a part of the reader's buffer.
type Frame struct {
	Type    byte
	Channel uint16
	Raw     []byte
}

// Payload between the frame's head and its end octet.
func (f Frame) Payload() []byte { return f.Raw[frameHead : len(f.Raw)-1] }

// Method of a method frame; 0 for other frames.
func (f Frame) Method() Method {
	if f.Type != FrameMethod {
		return 0
	}
	return Method(binary.BigEndian.Uint32(f.Raw[frameHead:]))
}

// Error of the protocol, with the reply code that the peer is told.
type Error struct {
	Code uint16
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("AMQP error %d: %s", e.Code, e.Text) }

// Reply codes that the gate uses itself.
const (
	CodeConnectionForced = 320
	CodeFrameError       = 501
	CodeUnexpectedFrame  = 505
	CodeChannelError     = 504
	CodeNotAllowed       = 530
)

// Reply codes with which a broker refuses what the gate asks it.
const (
	CodeAccessRefused      = 403
	CodeResourceLocked     = 405
	CodePreconditionFailed = 406
)

func frameError(format string, args ...any) error {
	return &Error{Code: CodeFrameError, Text: fmt.Sprintf(format, args...)}
}

func (f Frame) check() error {
	if f.Raw[len(f.Raw)-1] != frameEnd {
		return frameError("frame without its end octet")
	}
	size := len(f.Raw) - Overhead
	switch f.Type {
	case FrameMethod:
		if size < 4 {
			return frameError("method frame of %d bytes", size)
		}
	case FrameHeader:
		if size < headerFixed {
			return frameError("header frame of %d bytes", size)
		}
	case FrameBody:
	case FrameHeartbeat:
		if f.Channel != 0 {
			return unexpectedFrame(f)
		}
		if size > 0 {
			return frameError("heartbeat of %d bytes", size)
		}
	default:
		return frameError("frame of unknown type %d", f.Type)
	}
	if f.Channel == 0 && (f.Type == FrameHeader || f.Type == FrameBody) {
		return unexpectedFrame(f)
	}
	return nil
}
