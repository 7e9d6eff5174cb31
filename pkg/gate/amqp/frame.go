package amqp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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

// Frame as it came. Raw is valid until the reader's next call.
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

// Reader of frames.
type Reader struct {
	r    *bufio.Reader
	max  int
	last int    // bytes of the buffered frame handed out last
	big  []byte // for frames larger than the buffer
}

// NewReader reads frames of at most HandshakeFrameMax bytes until SetMax.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 32<<10), max: HandshakeFrameMax}
}

// SetMax bounds frames, in bytes; 0 means that the peers negotiated no limit. As RabbitMQ does, it lets payloads be as
// large as whole frames should be.
func (r *Reader) SetMax(n uint32) {
	if n == 0 || n > FrameLimit {
		n = FrameLimit
	}
	r.max = int(n) + Overhead
}

// Peek returns the next n bytes without taking them.
func (r *Reader) Peek(n int) ([]byte, error) {
	r.drop()
	return r.r.Peek(n)
}

// Protocol reads the protocol header that opens a connection.
func (r *Reader) Protocol() ([8]byte, error) {
	r.drop()
	var h [8]byte
	_, err := io.ReadFull(r.r, h[:])
	return h, err
}

// Rest of what the peer sends, not as frames.
func (r *Reader) Rest() io.Reader {
	r.drop()
	return r.r
}

// Next reads one frame. io.EOF means that the peer closed between two frames.
func (r *Reader) Next() (Frame, error) {
	r.drop()
	head, err := r.r.Peek(frameHead)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	f := Frame{Type: head[0], Channel: binary.BigEndian.Uint16(head[1:])}
	size := int(binary.BigEndian.Uint32(head[3:]))
	if size > r.max-Overhead {
		return Frame{}, frameError("frame of %d bytes, negotiated are %d", size+Overhead, r.max)
	}
	if f.Raw, err = r.take(size + Overhead); err != nil {
		return Frame{}, err
	}
	return f, f.check()
}

func (r *Reader) take(n int) ([]byte, error) {
	if n <= r.r.Size() {
		b, err := r.r.Peek(n)
		if err != nil {
			return nil, unexpected(err)
		}
		r.last = n
		return b, nil
	}
	if cap(r.big) < n {
		r.big = make([]byte, n)
	}
	if _, err := io.ReadFull(r.r, r.big[:n]); err != nil {
		return nil, unexpected(err)
	}
	return r.big[:n], nil
}

func (r *Reader) drop() {
	_, _ = r.r.Discard(r.last) // cannot fail: these bytes are buffered
	r.last = 0
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
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
