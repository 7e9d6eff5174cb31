package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/archive"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/delivery"
)

// call answers a request with a value, written as JSON, or an error.
type call func(r *http.Request) (any, error)

// Handler is the agent's API; it expects client certificates, verified.
func (a *Agent) Handler() http.Handler {
	const ticket = client.PathTickets + "/{pod}/{container}"
	controller, agent := v1alpha1.ControllerIdentity, v1alpha1.AgentIdentity
	mux := http.NewServeMux()
	mux.Handle(client.PathGate+"{pod}/", only(controller, http.HandlerFunc(a.forward)))
	for pattern, h := range map[string]call{
		"POST " + client.PathCheckpoints:                    a.checkpoint,
		"DELETE " + client.PathCheckpoints + "/{migration}": a.deleteCheckpoints,
		"POST " + client.PathDeliveries:                     a.deliver,
		"PUT " + ticket:                                     a.putTicket,
		"GET " + ticket:                                     a.getTicket,
		"DELETE " + ticket:                                  a.deleteTicket,
		"POST " + ticket + "/commit":                        a.commitTicket,
		"GET " + client.PathNode:                            a.node,
	} {
		mux.Handle(pattern, only(controller, a.answer(pattern, h)))
	}
	archives := "POST " + client.PathArchives + "/{pod}/{container}"
	mux.Handle(archives, only(agent, a.answer(archives, a.receive)))
	return mux
}

// only lets the part with the identity through.
func only(identity string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := ""
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			peer = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if peer != identity {
			writeError(w, http.StatusForbidden, fmt.Errorf("certificate of %q may not do this, only %s", peer, identity))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer runs a call and writes what it returns.
func (a *Agent) answer(pattern string, h call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := h(r)
		if err != nil {
			status := statusOf(err)
			a.metrics.errors.WithLabelValues(pattern, strconv.Itoa(status)).Inc()
			if status >= http.StatusInternalServerError {
				a.log.Error("request failed", "call", pattern, "path", r.URL.Path, "error", err)
			}
			writeError(w, status, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	})
}

func writeError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(client.Error{Message: err.Error()})
}

// statusError is an error with the status that it is answered with.
type statusError struct {
	status int
	error
}

func (e *statusError) Unwrap() error { return e.error }

func problem(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

// statusOf an error: below 500 when asking again would not help.
func statusOf(err error) int {
	var own *statusError
	var refused *archive.RefusedError
	var rejected *delivery.RejectedError
	switch {
	case errors.As(err, &own):
		return own.status
	case errors.Is(err, fcc.ErrNoTicket):
		return http.StatusNotFound
	case errors.Is(err, fcc.ErrState), errors.Is(err, fcc.ErrMigration), errors.Is(err, fcc.ErrBusy):
		return http.StatusConflict
	case errors.As(err, &refused), errors.As(err, &rejected):
		return http.StatusUnprocessableEntity
	case errors.Is(err, delivery.ErrNoRoom):
		return http.StatusInsufficientStorage
	default:
		return http.StatusInternalServerError
	}
}

// decode reads a request's body.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return problem(http.StatusBadRequest, "decoding request: %w", err)
	}
	return nil
}

// checkNames refuses a request whose names would not do as names of folders.
func checkNames(container string, ids ...string) error {
	if err := errors.Join(fcc.CheckIDs(ids...), fcc.CheckContainer(container)); err != nil {
		return problem(http.StatusBadRequest, "reading request: %w", err)
	}
	return nil
}
