package gate

import (
	"io"
	"log/slog"
	"net"
	"sync"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// refusalSealed is why an app that speaks TLS to its broker cannot be migrated.
const refusalSealed = "the app speaks TLS to its broker itself, so that the gate sees nothing of it: let it speak plain AMQP, and the gate TLS for it (annotation ms2m.dev/broker-tls)"

// isTLS tells whether a connection begins with a handshake of TLS.
func isTLS(hello []byte) bool { return hello[0] == 22 && hello[1] == 3 }

// passSealed carries a connection on which the app speaks TLS to its broker. It does not keep the app from its work, but
// from being migrated.
func (g *Gate) passSealed(app net.Conn, fromApp *amqp.Reader, broker net.Conn) {
	l := newLink()
	l.sealed = true
	l.abort = func() { abort(app); abort(broker) }
	if !g.enter(l) {
		return
	}
	slog.Warn("the app cannot be migrated", "reason", refusalSealed)
	defer func() {
		g.core.mu.Lock()
		defer g.core.mu.Unlock()
		g.core.lost(l)
	}()
	var both sync.WaitGroup
	pass := func(to net.Conn, from io.Reader) {
		if _, err := io.Copy(to, from); err != nil {
			l.abort()
			return
		}
		closeWrite(to)
	}
	both.Go(func() { pass(broker, fromApp.Rest()) })
	both.Go(func() { pass(app, broker) })
	both.Wait()
}
