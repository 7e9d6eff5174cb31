package replaylog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rabbitmq/amqp091-go"
)

// writerBytes bounds the records that wait for the broker.
const writerBytes = 64 << 20

// Writer appends records in the background: the source never waits for its log.
type Writer struct {
	conn   *Conn
	queue  string
	failed func(error)

	mu        sync.Mutex
	changed   *sync.Cond
	waiting   [][]byte
	bytes     int
	appended  uint64
	confirmed uint64
	err       error
}

// NewWriter appends to the declared queue. It calls failed once, from its own goroutine, when the log is not complete.
func (c *Conn) NewWriter(ctx context.Context, queue string, failed func(error)) (*Writer, error) {
	defer c.within(ctx)()
	if err := c.ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("asking for confirms of log: %w", err)
	}
	w := &Writer{conn: c, queue: queue, failed: failed}
	w.changed = sync.NewCond(&w.mu)
	confirms := c.ch.NotifyPublish(make(chan amqp091.Confirmation, 256))
	returns := c.ch.NotifyReturn(make(chan amqp091.Return, 1))
	closed := c.ch.NotifyClose(make(chan *amqp091.Error, 1))
	go w.watch(confirms, returns, closed)
	go w.write()
	return w, nil
}

// Append a record, which the writer keeps.
func (w *Writer) Append(record []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = append(w.waiting, record)
	w.bytes += len(record)
	w.appended++
	if w.bytes > writerBytes {
		w.fail(fmt.Errorf("appending to log: the broker is %d MiB behind", w.bytes>>20))
	}
	w.changed.Broadcast()
}

// Confirmed is the count of records that the broker has confirmed.
func (w *Writer) Confirmed() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.confirmed
}

// Flush waits until all records are confirmed.
func (w *Writer) Flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.confirmed < w.appended {
		if ctx.Err() != nil {
			return fmt.Errorf("flushing log: %w", ctx.Err())
		}
		w.changed.Wait()
	}
	return w.err
}

// Stop appending; it is no failure.
func (w *Writer) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = func(error) {}
	w.fail(errors.New("appending to log: stopped"))
}

func (w *Writer) fail(err error) {
	if w.err != nil {
		return
	}
	w.err, w.waiting = err, nil
	w.changed.Broadcast()
	go w.failed(err)
}

func (w *Writer) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for w.err == nil && len(w.waiting) == 0 {
			w.changed.Wait()
		}
		if w.err != nil {
			return
		}
		record := w.waiting[0]
		w.waiting[0] = nil
		w.waiting = w.waiting[1:]
		w.mu.Unlock()
		// Transient: a restart of the broker breaks the source's own connection and with it the migration.
		err := w.conn.ch.PublishWithContext(context.Background(), "", w.queue, true, false, amqp091.Publishing{Body: record})
		w.mu.Lock()
		w.bytes -= len(record)
		if err != nil {
			w.fail(fmt.Errorf("appending to log: %w", err))
		}
	}
}

func (w *Writer) watch(confirms <-chan amqp091.Confirmation, returns <-chan amqp091.Return, closed <-chan *amqp091.Error) {
	for {
		var err error
		select {
		case c, ok := <-confirms:
			switch {
			case !ok:
				err = errors.New("connection closed")
			case !c.Ack:
				err = errors.New("the broker refused a record")
			}
		case r := <-returns:
			err = fmt.Errorf("the log queue is gone: %s", r.ReplyText)
		case e := <-closed:
			err = errors.New("connection closed")
			if e != nil {
				err = e
			}
		}
		w.mu.Lock()
		if err == nil {
			w.confirmed++
		} else {
			w.fail(fmt.Errorf("appending to log: %w", err))
		}
		w.changed.Broadcast()
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}
