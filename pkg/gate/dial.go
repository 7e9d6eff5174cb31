package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"ms2m.dev/ms2m-descheduler/pkg/gate/transport"
)

// dial the broker that a connection of the app was going to. A connection that is sealed goes exactly there.
func (g *Gate) dial(app net.Conn, sealed bool) (net.Conn, error) {
	address, err := g.cfg.Upstream(app)
	if err != nil {
		return nil, err
	}
	to := g.cfg.TLS
	if sealed {
		to = nil
	}
	if to != nil {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("reading the broker's address: %w", err)
		}
		address = net.JoinHostPort(host, strconv.Itoa(int(g.cfg.TLSPort)))
	}
	ctx, cancel := context.WithTimeout(g.ending, dialTimeout)
	defer cancel()
	conn, err := g.out.dial(ctx, to, address)
	if err != nil {
		return nil, fmt.Errorf("connecting to the broker at %s: %w", address, err)
	}
	return conn, nil
}

// troubled notes why a connection of the app did not come through.
func (c *core) troubled(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = err.Error()
}

// ended notes why a connection was broken off. A broker that does not accept the gate's certificate may do that instead
// of its first answer.
func (c *core) ended(l *link, side string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if side == "broker" && !l.alive.opened {
		err = transport.Explain(err)
		c.trouble = err.Error()
		slog.Warn("broker refused connection", "err", err)
		return
	}
	slog.Debug("connection ended", "from", side, "err", err)
}
