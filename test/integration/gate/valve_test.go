//go:build integration

package gate

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// valve is an app's end of a connection on which it stops reading, and on which frames can be written that its client
// library would not write.
type valve struct {
	net.Conn
	mu     sync.Mutex
	opened sync.Cond
	shut   bool
	// written bytes.
	written atomic.Int64
}

func dialValve(network, address string) (*valve, error) {
	conn, err := net.Dial(network, address)
	v := &valve{Conn: conn}
	v.opened.L = &v.mu
	return v, err
}

func (v *valve) Read(b []byte) (int, error) {
	for {
		v.mu.Lock()
		for v.shut {
			v.opened.Wait()
		}
		v.mu.Unlock()
		n, err := v.Conn.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

func (v *valve) Write(b []byte) (int, error) {
	n, err := v.Conn.Write(b)
	v.written.Add(int64(n))
	return n, err
}

// SetReadDeadline of the library is not heeded.
func (v *valve) SetReadDeadline(time.Time) error { return nil }

// shutReads: what comes stays in the kernel.
func (v *valve) shutReads() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = true
	_ = v.Conn.SetReadDeadline(time.Unix(1, 0)) // ends a read under way
}

func (v *valve) openReads() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = false
	_ = v.Conn.SetReadDeadline(time.Time{})
	v.opened.Broadcast()
}

func (v *valve) Close() error {
	v.openReads()
	return v.Conn.Close()
}
