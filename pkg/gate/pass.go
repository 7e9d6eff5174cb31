package gate

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

func (g *Gate) readApp(l *link, r *amqp.Reader) error {
	hello, err := r.Protocol()
	if err != nil {
		return err
	}
	l.broker.put(hello[:])
	d := direction{from: r, to: l.broker, seen: &l.alive.appSeen, added: g.core.added.app}
	for err == nil {
		err = g.core.pass(l, d, func(f amqp.Frame) error {
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
	d := direction{from: r, to: l.app, seen: &l.alive.brokerSeen, added: g.core.added.broker}
	var err error
	for err == nil {
		err = g.core.pass(l, d, func(f amqp.Frame) error {
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

// direction in which frames pass.
type direction struct {
	from *amqp.Reader
	to   *outbox
	// seen is when the sender was heard last.
	seen  *atomic.Int64
	added prometheus.Observer
}

// pass waits for frames of one side, does for all that have come what they ask for, and writes what passes to the other.
// io.EOF means that the link has ended.
func (c *core) pass(l *link, d direction, do func(amqp.Frame) error) error {
	f, err := d.from.Next()
	if err != nil {
		return err
	}
	began, open := time.Now(), c.quietly.Load()
	d.seen.Store(began.UnixNano())
	c.mu.Lock()
	d.to.begin()
	for err == nil && !l.gone {
		if err = do(f); err != nil || !d.from.Buffered() {
			break
		}
		f, err = d.from.Next()
	}
	if err == nil && l.gone {
		err = io.EOF
	}
	d.to.commit()
	c.mu.Unlock()
	d.to.flush()
	if open && c.quietly.Load() { // else it may have been held, and on purpose
		d.added.Observe(time.Since(began).Seconds())
	}
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
