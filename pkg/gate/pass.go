package gate

import (
	"io"
	"sync/atomic"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

func (g *Gate) readApp(l *link, r *amqp.Reader) error {
	hello, err := r.Protocol()
	if err != nil {
		return err
	}
	l.broker.put(hello[:])
	for err == nil {
		err = g.core.pass(l, r, l.broker, &l.alive.appSeen, func(f amqp.Frame) error {
			if err := g.core.awaitUnparked(l, f); err != nil {
				return err
			}
			err := g.core.onApp(l, f)
			if f.Method() == amqp.ConnectionTuneOk {
				r.SetMax(l.Tune.FrameMax)
			}
			return err
		})
	}
	return err
}

func (g *Gate) readBroker(l *link, r *amqp.Reader) error {
	// A broker that speaks another version says so with its own header.
	if b, err := r.Peek(4); err != nil {
		return err
	} else if string(b) == "AMQP" {
		hello, err := r.Protocol()
		l.app.put(hello[:])
		return err
	}
	var err error
	for err == nil {
		err = g.core.pass(l, r, l.app, &l.alive.brokerSeen, func(f amqp.Frame) error {
			err := g.core.onBroker(l, f)
			if f.Method() == amqp.ConnectionOpenOk {
				r.SetMax(l.Tune.FrameMax)
				l.alive.opened = true
				g.core.trouble = ""
			}
			return err
		})
	}
	return err
}

// pass waits for frames of one side, does for all that have come what they ask for, and writes what passes to the other.
// io.EOF means that the link has ended.
func (c *core) pass(l *link, r *amqp.Reader, to *outbox, seen *atomic.Int64, do func(amqp.Frame) error) error {
	f, err := r.Next()
	if err != nil {
		return err
	}
	seen.Store(time.Now().UnixNano())
	c.mu.Lock()
	to.begin()
	for err == nil && !l.gone {
		if err = do(f); err != nil || !r.Buffered() {
			break
		}
		f, err = r.Next()
	}
	if err == nil && l.gone {
		err = io.EOF
	}
	to.commit()
	c.mu.Unlock()
	to.flush()
	return err
}

// awaitUnparked waits until the mode lets the app's frame go on. The frames before it must not wait for that.
func (c *core) awaitUnparked(l *link, f amqp.Frame) error {
	if !c.parks(l, f) {
		return nil
	}
	l.broker.yield()
	for !l.gone && c.parks(l, f) {
		c.changed.Wait()
	}
	if l.gone {
		return io.EOF
	}
	l.broker.begin()
	return nil
}
