package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

const (
	// readAhead is the size of a reader's buffer, until a frame needs more.
	readAhead = 32 << 10
	// readMost bounds what is read at once, unless a frame is larger.
	readMost = 256 << 10
)

// Reader of frames. It hands out parts of its buffer: frames are valid until a call for which it has to read, which is
// the first one that Buffered does not announce. Those that were valid together and came one after the other lie so in
// memory.
type Reader struct {
	src io.Reader
	max int
	// buf[from:to] was read and is not taken.
	buf      []byte
	from, to int
}

// NewReader reads frames of at most HandshakeFrameMax bytes until SetMax.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, max: HandshakeFrameMax, buf: make([]byte, readAhead)}
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
	if err := r.need(n); err != nil {
		return nil, err
	}
	return r.buf[r.from : r.from+n], nil
}

// Protocol reads the protocol header that opens a connection.
func (r *Reader) Protocol() (h [8]byte, err error) {
	b, err := r.Peek(len(h))
	r.from += copy(h[:], b)
	return h, err
}

// Rest of what the peer sends, not as frames.
func (r *Reader) Rest() io.Reader {
	return io.MultiReader(bytes.NewReader(r.buf[r.from:r.to]), r.src)
}

// Buffered tells whether the next frame can be had without reading.
func (r *Reader) Buffered() bool {
	unread := r.to - r.from
	if unread < frameHead {
		return false
	}
	size := r.size()
	return size > r.max || size <= unread
}

// Next reads one frame. io.EOF means that the peer closed between two frames.
func (r *Reader) Next() (Frame, error) {
	if err := r.need(frameHead); err != nil {
		return Frame{}, err
	}
	size := r.size()
	if size > r.max {
		return Frame{}, frameError("frame of %d bytes, negotiated are %d", size, r.max)
	}
	if err := r.need(size); err != nil {
		return Frame{}, err
	}
	raw := r.buf[r.from : r.from+size]
	r.from += size
	f := Frame{Type: raw[0], Channel: binary.BigEndian.Uint16(raw[1:]), Raw: raw}
	return f, f.check()
}

// size of the frame that begins at from.
func (r *Reader) size() int { return int(binary.BigEndian.Uint32(r.buf[r.from+3:])) + Overhead }

// need reads until n bytes are there.
func (r *Reader) need(n int) error {
	for r.to-r.from < n {
		r.room(n)
		m, err := r.src.Read(r.buf[r.to:])
		r.to += m
		if m > 0 {
			continue
		}
		if errors.Is(err, io.EOF) && r.to > r.from {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// room for n bytes, and as many more as there can be. A buffer that had to grow has room for several frames of that size,
// since the beginning of the next one is moved; one that had to grow beyond readMost is given up once it is empty.
func (r *Reader) room(n int) {
	buf := r.buf
	switch {
	case n > len(buf):
		buf = make([]byte, max(n, min(4*n, readMost)))
	case r.from == r.to && len(buf) > readMost:
		buf = make([]byte, readAhead)
	}
	r.to = copy(buf, r.buf[r.from:r.to])
	r.buf, r.from = buf, 0
}
