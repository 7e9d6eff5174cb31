//go:build integration

package gate

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// cable carries connections to a broker, until it is cut.
type cable struct {
	address, to string

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	// unplugged: no connection comes through.
	unplugged bool
}

func newCable(t *testing.T, uri string) *cable {
	t.Helper()
	u, err := url.Parse(uri)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{address: ln.Addr().String(), to: u.Host, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() { _ = ln.Close(); c.cut() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.carry(conn)
		}
	}()
	return c
}

// carry one connection; it ends at both ends as it ended at one.
func (c *cable) carry(near net.Conn) {
	far, err := net.Dial("tcp", c.to)
	if err != nil {
		reset(near)
		return
	}
	c.mu.Lock()
	c.conns[near], c.conns[far] = struct{}{}, struct{}{}
	if c.unplugged {
		reset(near)
		reset(far)
	}
	c.mu.Unlock()
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
		both.Go(func() {
			if _, err := io.Copy(to, from); err != nil {
				reset(to)
				return
			}
			_ = to.(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
	_ = near.Close()
	_ = far.Close()
	c.mu.Lock()
	delete(c.conns, near)
	delete(c.conns, far)
	c.mu.Unlock()
}

// cut all connections: both ends see a reset.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		reset(conn)
	}
}

// plug the cable in, or pull it out.
func (c *cable) plug(in bool) {
	c.mu.Lock()
	c.unplugged = !in
	c.mu.Unlock()
	if !in {
		c.cut()
	}
}

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
