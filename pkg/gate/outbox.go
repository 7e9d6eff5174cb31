package gate

import (
	"io"
	"sync"
)

const (
	// outboxFull is where pass-through stops reading from the other side, in bytes.
	outboxFull = 256 << 10
	// outboxKeep bounds the buffers kept for reuse.
	outboxKeep = 1 << 20
)

// outbox holds the frames that wait to be written to one socket, so that no holder of the core's lock ever waits for a
// peer. Bounded by readers that call await between frames, and by the core's bound on buffered deliveries.
type outbox struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	writing bool
	closed  bool
}

func newOutbox() *outbox {
	o := &outbox{}
	o.changed.L = &o.mu
	return o
}

// put appends whole frames.
func (o *outbox) put(b []byte) {
	o.mu.Lock()
	o.buf = append(o.buf, b...)
	o.mu.Unlock()
	o.changed.Broadcast()
}

// build appends the frames that add appends to the buffer.
func (o *outbox) build(add func(dst []byte) []byte) {
	o.mu.Lock()
	o.buf = add(o.buf)
	o.mu.Unlock()
	o.changed.Broadcast()
}

// await returns when there is space, or nobody writes any more.
func (o *outbox) await() {
	o.mu.Lock()
	for len(o.buf) > outboxFull && !o.closed {
		o.changed.Wait()
	}
	o.mu.Unlock()
}

// full tells whether the reader of the other side waits.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) > outboxFull
}

// idle tells whether everything has been handed to the operating system.
func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) == 0 && !o.writing
}

// close lets run return once everything is written.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.changed.Broadcast()
}

// run writes until the outbox is closed or writing fails. It calls idle, without locks, whenever all is written.
func (o *outbox) run(w io.Writer, idle func()) error {
	var spare []byte
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.buf) == 0 && !o.closed {
			o.changed.Wait()
		}
		if len(o.buf) == 0 {
			return nil
		}
		batch := o.buf
		o.buf, o.writing = spare[:0], true
		o.mu.Unlock()
		_, err := w.Write(batch)
		spare = batch
		if cap(spare) > outboxKeep {
			spare = nil
		}
		o.mu.Lock()
		o.writing = false
		o.changed.Broadcast()
		if err != nil {
			o.buf, o.closed = nil, true
			return err
		}
		if len(o.buf) == 0 {
			o.mu.Unlock()
			idle()
			o.mu.Lock()
		}
	}
}
