// Package gate is a transparent AMQP 0-9-1 proxy beside an app, which can stop the app between two messages, log what it
// is given afterwards, and on another node give it again, so that an app restored from a checkpoint ends in exactly the
// state of the one that went on. See docs/gate.md.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
	"ms2m.dev/ms2m-descheduler/pkg/gate/transport"
)

// Config of a gate.
type Config struct {
	// Folder of the control socket and of the mode record.
	Folder string
	// Start is the mode without a record: ModeOpen or ModeClosed.
	Start control.Mode
	// BrokerURI of the log's user. Without it nothing can be migrated.
	BrokerURI string
	// Upstream returns the broker's address for a connection of the app.
	Upstream func(net.Conn) (string, error)
	// TLS to the broker: of the app's connections, and of the log's if its URI is amqps. Nil for plain connections.
	TLS *transport.TLS
	// TLSPort of the broker, in place of the port that the app dials.
	TLSPort uint16
}

// Gate between one app and its broker.
type Gate struct {
	cfg  Config
	out  outside
	core *core
	hold holdSeconds

	// commands serializes commands; what they hold while they wait for the app is op.
	commands turn
	op       *operation
	cut      *control.Cut
	expiry   *time.Timer
	// logConn of the migration under way.
	logConn *replaylog.Conn
	writer  *replaylog.Writer

	recMu sync.Mutex
	rec   record

	// conns counts goroutines of connections.
	conns sync.WaitGroup
	// ending is done when the gate ends; it ends operations and links.
	ending context.Context
	end    context.CancelFunc
}

// New gate in the recorded mode.
func New(cfg Config) (*Gate, error) { return newGate(cfg, newOutside(cfg.Folder)) }

func newGate(cfg Config, out outside) (*Gate, error) {
	rec, found, err := out.load()
	if err != nil {
		return nil, err
	}
	if !found {
		rec.Mode = cfg.Start
	}
	rec = rec.afterCrash()
	if err := out.store(rec); err != nil {
		return nil, err
	}
	g := &Gate{cfg: cfg, out: out, rec: rec, core: newCore(rec.Mode), hold: newHoldSeconds(), commands: newTurn()}
	g.core.broken = rec.Broken
	g.ending, g.end = context.WithCancel(context.Background())
	return g, nil
}

// Serve connections of the app until Close.
func (g *Gate) Serve(listeners ...net.Listener) error {
	g.conns.Go(g.beat)
	var accepting errgroup.Group
	for _, ln := range listeners {
		accepting.Go(func() error { return g.accept(ln) })
	}
	return accepting.Wait()
}

func (g *Gate) accept(ln net.Listener) error {
	stop := context.AfterFunc(g.ending, func() { _ = ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if g.ending.Err() != nil {
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accepting connection: %w", err)
			}
			slog.Warn("accepting connection failed", "err", err)
			time.Sleep(10 * time.Millisecond) // out of file descriptors: let some end
			continue
		}
		g.conns.Go(func() { g.serve(conn) })
	}
}

// Close ends all connections. The record stays as it is.
func (g *Gate) Close() {
	g.end()
	g.core.mu.Lock()
	for l := range g.core.links {
		l.abort()
	}
	g.core.changed.Broadcast()
	g.core.mu.Unlock()
	g.conns.Wait()
	g.commands.Lock()
	op := g.op
	g.commands.Unlock()
	if op != nil {
		<-op.done
	}
	g.commands.Lock()
	defer g.commands.Unlock()
	_ = g.closeLog("") // nothing is deleted
}

// beat keeps connections alive, and ends those whose other end is not.
func (g *Gate) beat() {
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-g.ending.Done():
			return
		case now := <-t.C:
			g.core.mu.Lock()
			for l := range g.core.links {
				l.beat(now, g.core.mode == control.ModeOpen)
			}
			g.core.mu.Unlock()
		}
	}
}
