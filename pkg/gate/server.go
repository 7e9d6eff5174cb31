package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// SocketFile of the control API in the gate's folder.
const SocketFile = "gate.sock"

// Handler of the control API.
func (g *Gate) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+control.PathStatus, func(w http.ResponseWriter, _ *http.Request) { answer(w, g.Status()) })
	handle(mux, control.PathInspect, func(ctx context.Context, _ struct{}) (control.Status, error) { return g.Inspect(ctx) })
	handle(mux, control.PathHold, g.Hold)
	handle(mux, control.PathRelease, empty(g.Release))
	handle(mux, control.PathHandOver, empty(g.HandOver))
	handle(mux, control.PathResume, empty(g.Resume))
	handle(mux, control.PathFence, empty(g.Fence))
	handle(mux, control.PathReplay, empty(g.Replay))
	handle(mux, control.PathCommit, empty(g.Commit))
	return mux
}

// ServeControl serves the control API on the unix socket in the gate's folder until Close.
func (g *Gate) ServeControl() error {
	path := filepath.Join(g.cfg.Folder, SocketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing old control socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listening on control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("protecting control socket: %w", err)
	}
	s := &http.Server{Handler: g.Handler(), ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(g.ending, func() { _ = s.Close() })()
	if err := s.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving control socket: %w", err)
	}
	return nil
}

// empty answers a command that returns nothing.
func empty[R any](do func(context.Context, R) error) func(context.Context, R) (struct{}, error) {
	return func(ctx context.Context, r R) (struct{}, error) { return struct{}{}, do(ctx, r) }
}

func handle[R, A any](mux *http.ServeMux, path string, do func(context.Context, R) (A, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) {
		var r R
		if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 1<<20)).Decode(&r); err != nil {
			fail(w, path, refuse(control.ReasonBadRequest, "decoding request: %v", err))
			return
		}
		a, err := do(req.Context(), r)
		if err != nil {
			fail(w, path, err)
			return
		}
		answer(w, a)
	})
}

func answer(w http.ResponseWriter, a any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a) // the caller has gone: nobody to tell
}

// fail answers a refused command; any other error is the gate's own.
func fail(w http.ResponseWriter, path string, err error) {
	slog.Warn("command failed", "command", path, "err", err)
	w.Header().Set("Content-Type", "application/json")
	var refused *control.Error
	if !errors.As(err, &refused) {
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
		return
	}
	w.WriteHeader(statusOf(refused.Reason))
	_ = json.NewEncoder(w).Encode(refused)
}

func statusOf(r control.Reason) int {
	switch r {
	case control.ReasonNotDrained:
		return http.StatusRequestTimeout
	case control.ReasonTokenExpired:
		return http.StatusGone
	case control.ReasonBroker:
		return http.StatusBadGateway
	case control.ReasonBadRequest:
		return http.StatusBadRequest
	case control.ReasonRefused:
		return http.StatusUnprocessableEntity
	default:
		return http.StatusConflict
	}
}
