package gate

import (
	"io"
	"sync"
)

// outboxKeep bounds the buffers kept for reuse.
const outboxKeep = 32 << 10

// outbox holds the frames that wait to be written to one socket, so that no holder of the core's lock ever waits for a
// peer. They come in two ways:
//
//   - The reader of the other side puts what passes between begin and commit, and then writes it itself, in flush. Nobody
//     need be woken for it, what was read at once is written at once, and frames that pass as they came are not copied: the
//     reader reads no more before they are written, so that one side waits for the other as it would without the gate.
//   - What anybody else puts is written by run.
type outbox struct {
	mu sync.Mutex
	// work wakes run; written wakes a reader in flush.
	work, written sync.Cond
	// passing frames lie in the buffer of the reader that passes them; buf comes after them.
	passing, buf, spare []byte
	// batching: between begin and commit.
	batching bool
	// flushing: the reader writes, or waits for run to have written.
	flushing bool
	// writing: one of the two writes.
	writing bool
	closed  bool
	err     error

	w io.Writer
	// drained is called, without locks, whenever all is written.
	drained func()
}

func newOutbox() *outbox {
	o := &outbox{drained: func() {}}
	o.work.L, o.written.L = &o.mu, &o.mu
	return o
}

// begin a batch, under the core's lock until commit or yield.
func (o *outbox) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batching = true
}

// commit a batch; flush must follow.
func (o *outbox) commit() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batching = false
}

// yield commits a batch to run, since its reader has to wait for something else.
func (o *outbox) yield() {
	o.commit()
	o.work.Signal()
}

// put whole frames. Those of a batch must stay as they are until flush returns.
func (o *outbox) put(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.batching:
		o.buf = append(o.buf, b...)
		o.work.Signal()
	case len(o.buf) == 0 && len(o.passing) == 0:
		o.passing = b
	case len(o.buf) == 0 && follows(o.passing, b):
		o.passing = o.passing[:len(o.passing)+len(b)]
	default:
		o.buf = append(o.buf, b...)
	}
}

// follows tells whether b lies right behind a in memory.
func follows(a, b []byte) bool {
	return len(b) > 0 && len(a)+len(b) <= cap(a) && &a[:len(a)+1][len(a)] == &b[0]
}

// build appends the frames that add appends to the buffer.
func (o *outbox) build(add func(dst []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = add(o.buf)
	if !o.batching {
		o.work.Signal()
	}
}

// empty tells whether nothing waits. Called with mu held.
func (o *outbox) empty() bool { return len(o.passing)+len(o.buf) == 0 }

// idle tells whether everything has been handed to the operating system.
func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.empty() && !o.writing
}

// full tells whether the reader of the other side waits.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flushing
}

// close lets run return once everything is written.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.work.Signal()
}

// flush returns when all is written, or writing has failed, which run tells.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushing = true
	for o.writing {
		o.written.Wait()
	}
	o.write()
	o.flushing = false
}

// run writes what others than the reader put, until the outbox is closed or writing fails.
func (o *outbox) run() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for o.writing || o.empty() && !o.closed {
			o.work.Wait()
		}
		if o.empty() || o.err != nil {
			return o.err
		}
		o.write()
	}
}

// write all that waits. Called with mu held, which is given up meanwhile.
func (o *outbox) write() {
	o.writing = true
	for !o.empty() && o.err == nil {
		passing, buf := o.passing, o.buf
		o.passing, o.buf, o.spare = nil, o.spare[:0], nil
		o.mu.Unlock()
		err := writeAll(o.w, passing, buf)
		o.mu.Lock()
		if cap(buf) <= outboxKeep {
			o.spare = buf
		}
		if err != nil {
			o.err, o.closed = err, true
		}
	}
	o.writing = false
	o.written.Signal()
	if o.closed {
		o.work.Signal()
	}
	o.mu.Unlock()
	o.drained()
	o.mu.Lock()
}

func writeAll(w io.Writer, parts ...[]byte) error {
	for _, b := range parts {
		if len(b) == 0 {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
