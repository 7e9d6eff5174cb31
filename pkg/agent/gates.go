package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// gateSocket is where a gate listens, in its folder.
const gateSocket = "gate.sock"

// gates of the node, by the UID of their pod.
type gates struct {
	folder string

	mu         sync.Mutex
	transports map[string]*http.Transport
}

func newGates(folder string) *gates {
	return &gates{folder: folder, transports: map[string]*http.Transport{}}
}

// transport to the gate of a pod.
func (g *gates) transport(podUID string) *http.Transport {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.transports[podUID]
	if t == nil {
		socket := filepath.Join(g.folder, podUID, gateSocket)
		t = &http.Transport{
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, socket) },
			IdleConnTimeout: time.Minute,
		}
		g.transports[podUID] = t
	}
	return t
}

// client of the gate of a pod.
func (g *gates) client(podUID string) *control.Client {
	return &control.Client{HTTP: &http.Client{Transport: g.transport(podUID)}, Base: "http://gate"}
}

// forget the gate of a pod that is gone.
func (g *gates) forget(podUID string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := g.transports[podUID]; t != nil {
		t.CloseIdleConnections()
		delete(g.transports, podUID)
	}
}

// dialSocket connects to a unix socket in a folder that a pod writes to. A link there, which could lead to another
// pod's gate, is not followed.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening gate's socket: %w", err)
	}
	defer unix.Close(fd) //nolint:errcheck // a path
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return nil, fmt.Errorf("opening gate's socket: %w", err)
	}
	if s.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errors.New("opening gate's socket: it is no socket")
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
}

// forward passes a request to the gate of a pod and its answer back, both unchanged.
func (a *Agent) forward(w http.ResponseWriter, r *http.Request) {
	podUID := r.PathValue("pod")
	if err := fcc.CheckIDs(podUID); err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("reading request: %w", err))
		return
	}
	proxy := &httputil.ReverseProxy{
		Transport: a.gates.transport(podUID),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "gate"
			p.Out.URL.Path = strings.TrimPrefix(p.In.URL.Path, client.PathGate+podUID)
			p.Out.URL.RawPath = ""
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			a.metrics.errors.WithLabelValues("gate", "502").Inc()
			writeError(w, http.StatusBadGateway, fmt.Errorf("calling gate of pod %s: %w", podUID, err))
		},
	}
	proxy.ServeHTTP(w, r)
	if r.Method == http.MethodPost {
		// Any command may have changed the mode. The answer does not wait for the API server.
		go a.active.update(context.WithoutCancel(r.Context()), podUID)
	}
}
