package gate

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// pipe carries bytes one way between a gate and the model of an app or a broker. What is written into it stays there
// until the world moves it on, one frame at a time.
type pipe struct {
	mu      sync.Mutex
	changed sync.Cond
	// sent has been written, arrived has been moved on and not been read.
	sent, arrived []byte
	// ended: the writer closed, the reader finds the end after all else. broken: nothing is read or written any more.
	ended, broken bool
	deadline      time.Time

	// take a frame, and the end, at a model's end of the pipe; nil when a gate reads.
	take func(unit []byte)
	end  func()
	// eager pipes are moved on at once.
	eager bool
}

func newPipe(take func([]byte), end func()) *pipe {
	p := &pipe{take: take, end: end}
	p.changed.L = &p.mu
	return p
}

// write what the model sends.
func (p *pipe) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.broken {
		return net.ErrClosed
	}
	p.sent = append(p.sent, b...)
	return nil
}

// close in order: what was written still arrives.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed.Broadcast()
}

// reset at once: what has not arrived never does.
func (p *pipe) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken, p.ended, p.sent, p.arrived, p.end = true, true, nil, nil, nil
	p.changed.Broadcast()
}

// dead pipes never move again.
func (p *pipe) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken && p.end == nil
}

// waiting tells whether there is something to move on.
func (p *pipe) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent) > 0 || p.ended && p.end != nil
}

// unit is the length of the first frame or protocol header.
func unit(b []byte) int {
	if bytes.HasPrefix(b, []byte("AMQP")) {
		return 8
	}
	return int(binary.BigEndian.Uint32(b[3:])) + amqp.Overhead
}

// move one frame on, or the end.
func (p *pipe) move() {
	p.mu.Lock()
	if len(p.sent) == 0 {
		end := p.end
		p.end = nil
		p.mu.Unlock()
		end()
		return
	}
	n := unit(p.sent)
	b := bytes.Clone(p.sent[:n])
	p.sent = p.sent[n:]
	if p.take == nil {
		p.arrived = append(p.arrived, b...)
		p.changed.Broadcast()
	}
	p.mu.Unlock()
	if p.take != nil {
		p.take(b)
	}
}

// read as a socket is read.
func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.broken:
			return 0, net.ErrClosed
		case !p.deadline.IsZero() && !time.Now().Before(p.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(p.arrived) > 0:
			n := copy(b, p.arrived)
			p.arrived = p.arrived[n:]
			return n, nil
		case p.ended && len(p.sent) == 0:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

// within a time, or never.
func (p *pipe) within(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.changed.Broadcast()
	if !t.IsZero() && time.Until(t) > 0 {
		time.AfterFunc(time.Until(t), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changed.Broadcast()
		})
	}
}

// end is a gate's end of a connection.
type end struct{ in, out *pipe }

func (s *end) Read(b []byte) (int, error) { return s.in.read(b) }

func (s *end) Write(b []byte) (int, error) {
	if err := s.out.write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (s *end) Close() error {
	s.in.reset()
	s.out.close()
	return nil
}

func (s *end) CloseWrite() error {
	s.out.close()
	return nil
}

func (s *end) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *end) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *end) SetWriteDeadline(time.Time) error { return nil }

func (s *end) SetReadDeadline(t time.Time) error {
	s.in.within(t)
	return nil
}

func (s *end) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }
