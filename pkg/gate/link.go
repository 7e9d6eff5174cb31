package gate

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

const (
	dialTimeout  = 10 * time.Second
	helloTimeout = 10 * time.Second
	// lingerTimeout bounds the writing of what is left when a connection ends.
	lingerTimeout = 2 * time.Second
)

// alive follows when each side was heard and when it got a heartbeat.
type alive struct {
	// opened: both sides may send heartbeats.
	opened bool
	// appSeen, brokerSeen in nanoseconds.
	appSeen, brokerSeen atomic.Int64
	beaten              time.Time
}

// serve one connection of the app.
func (g *Gate) serve(app net.Conn) {
	defer func() { _ = app.Close() }()
	fromApp := amqp.NewReader(app)
	if !g.admit(app, fromApp) {
		return
	}
	// Who only looks whether somebody listens needs no broker.
	_ = app.SetReadDeadline(time.Now().Add(helloTimeout))
	hello, err := fromApp.Peek(8)
	if err != nil {
		return
	}
	_ = app.SetReadDeadline(time.Time{})
	sealed := isTLS(hello)
	broker, err := g.dial(app, sealed)
	if err != nil {
		slog.Warn("connecting to broker failed", "err", err)
		g.core.troubled(err)
		return
	}
	defer func() { _ = broker.Close() }()
	if sealed {
		g.passSealed(app, fromApp, broker)
		return
	}
	l := newLink()
	l.abort = func() { abort(app); abort(broker) }
	l.unread = func() bool { return g.out.unread(app) }
	l.linger = func() {
		deadline := time.Now().Add(lingerTimeout)
		_ = app.SetDeadline(deadline)
		_ = broker.SetDeadline(deadline)
	}
	l.app.w, l.broker.w = app, broker
	l.app.drained, l.broker.drained = g.core.wake, g.core.wake
	if !g.enter(l) {
		return
	}
	slog.Info("app connected", "broker", broker.RemoteAddr().String())
	written := make(chan struct{}, 2)
	run := func(o *outbox, to net.Conn) {
		defer func() { written <- struct{}{} }()
		if err := o.run(); err != nil {
			g.leave(l)
			_ = to.Close()
			return
		}
		closeWrite(to)
	}
	go run(l.app, app)
	go run(l.broker, broker)
	read := make(chan struct{})
	go func() {
		defer close(read)
		g.finish(l, "broker", g.readBroker(l, amqp.NewReader(broker)))
	}()
	g.finish(l, "app", g.readApp(l, fromApp))
	<-written
	<-written
	_ = broker.Close()
	<-read
	// Reading what the app still sends lets it see the reason of the end instead of a reset.
	_, _ = io.Copy(io.Discard, app)
}

// admit waits until the mode lets the app talk to anybody; false means that it does not, or the app has gone.
func (g *Gate) admit(app net.Conn, r *amqp.Reader) bool {
	c := g.core
	c.mu.Lock()
	if c.admits() {
		c.mu.Unlock()
		return true
	}
	c.mu.Unlock()
	gone, watched := false, make(chan struct{})
	go func() {
		defer close(watched)
		// Before the broker speaks, an app sends the eight bytes of the protocol's header.
		_, err := r.Peek(9)
		var ne net.Error
		c.mu.Lock()
		defer c.mu.Unlock()
		gone = !errors.As(err, &ne) || !ne.Timeout()
		c.changed.Broadcast()
	}()
	c.mu.Lock()
	err := c.await(g.ending, func() bool { return gone || c.mode == control.ModeFenced || c.admits() })
	admitted := err == nil && !gone && c.admits()
	c.mu.Unlock()
	_ = app.SetReadDeadline(time.Now())
	<-watched
	_ = app.SetReadDeadline(time.Time{})
	return admitted
}

// admits tells whether new connections of the app may go on.
func (c *core) admits() bool {
	switch c.mode {
	case control.ModeOpen, control.ModeHolding, control.ModeHeld, control.ModeLogging, control.ModeHandingOver:
		return true
	case control.ModeReplaying, control.ModeReplayed:
		return c.broken == ""
	default:
		return false
	}
}

func (g *Gate) enter(l *link) bool {
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.admits() || g.ending.Err() != nil {
		return false
	}
	if l.sealed && c.mode != control.ModeOpen {
		c.breaks(refusalSealed)
		return false
	}
	c.links[l] = struct{}{}
	return true
}

// leave ends a link: what is to be written is written, the rest is dropped.
func (g *Gate) leave(l *link) {
	g.core.mu.Lock()
	g.core.lost(l)
	g.core.mu.Unlock()
	l.app.close()
	l.broker.close()
	l.linger()
}

// finish a link when reading from one side has ended.
func (g *Gate) finish(l *link, side string, err error) {
	var ours *amqp.Error
	if errors.As(err, &ours) {
		slog.Warn("closing connection", "from", side, "err", err)
		g.core.mu.Lock()
		l.app.put(amqp.AppendConnectionClose(nil, ours))
		g.core.mu.Unlock()
	} else if err != nil && !errors.Is(err, io.EOF) {
		g.core.ended(l, side, err)
	}
	g.leave(l)
}

// beat sends heartbeats of the gate's own to both sides, so that an app that is frozen, or whose frames wait, loses no
// connection. A side that is silent for two intervals is dead; an app is given the time that a migration takes.
func (l *link) beat(now time.Time, open bool) {
	a := &l.alive
	every := time.Duration(l.Tune.Heartbeat) * time.Second
	if every == 0 || !a.opened {
		return
	}
	if now.Sub(a.beaten) >= every/2 {
		a.beaten = now
		l.app.put(amqp.Heartbeat)
		l.broker.put(amqp.Heartbeat)
	}
	if !open || l.broker.full() {
		a.appSeen.Store(now.UnixNano())
	}
	if l.app.full() {
		a.brokerSeen.Store(now.UnixNano())
	}
	oldest := now.Add(-2*every - time.Second).UnixNano()
	if a.appSeen.Load() < oldest || a.brokerSeen.Load() < oldest {
		slog.Warn("closing connection without heartbeats")
		l.abort()
	}
}

// abort a connection: the peer sees a reset.
func abort(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn() // closing the other would write first
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}
