package agent

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/archive"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/delivery"
)

// none answers what has nothing to say.
type none struct{}

func (a *Agent) putTicket(r *http.Request) (any, error) {
	var in fcc.Ticket
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	podUID, container := r.PathValue("pod"), r.PathValue("container")
	if err := checkNames(container, podUID, in.Migration); err != nil {
		return nil, err
	}
	t, err := a.tickets.Put(in.Migration, podUID, container)
	return a.withRestarts(t), err
}

func (a *Agent) getTicket(r *http.Request) (any, error) {
	podUID, container := r.PathValue("pod"), r.PathValue("container")
	if err := checkNames(container, podUID); err != nil {
		return nil, err
	}
	t, err := a.tickets.Get(podUID, container)
	return a.withRestarts(t), err
}

func (a *Agent) commitTicket(r *http.Request) (any, error) {
	podUID, container := r.PathValue("pod"), r.PathValue("container")
	if err := checkNames(container, podUID); err != nil {
		return nil, err
	}
	t, err := a.tickets.Commit(podUID, container)
	return a.withRestarts(t), err
}

func (a *Agent) deleteTicket(r *http.Request) (any, error) {
	podUID, container := r.PathValue("pod"), r.PathValue("container")
	if err := checkNames(container, podUID); err != nil {
		return nil, err
	}
	return none{}, a.tickets.Withdraw(podUID, container)
}

func (a *Agent) withRestarts(t fcc.Ticket) client.Ticket {
	return client.Ticket{Ticket: t, Restarts: restarts(a.pods.withUID(t.PodUID), t.Container)}
}

// receive a delivery of another agent.
func (a *Agent) receive(r *http.Request) (any, error) {
	podUID, container := r.PathValue("pod"), r.PathValue("container")
	migration := r.Header.Get(delivery.HeaderMigration)
	if err := checkNames(container, podUID, migration); err != nil {
		return nil, err
	}
	bytes, err := strconv.ParseInt(r.Header.Get(delivery.HeaderBytes), 10, 64)
	if err != nil || bytes < 0 {
		return nil, problem(http.StatusBadRequest, "reading header %s: %w", delivery.HeaderBytes, err)
	}
	t, err := a.receiver.Receive(delivery.Incoming{
		Migration: migration, PodUID: podUID, Container: container, Bytes: bytes, Body: r.Body,
		Digest: func() string { return r.Trailer.Get(delivery.TrailerDigest) },
	})
	var refused *archive.RefusedError
	if errors.As(err, &refused) {
		// The sender reads the refusal only when it could send all.
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, bytes))
	}
	if err != nil {
		a.metrics.received.WithLabelValues("refused").Inc()
		return nil, fmt.Errorf("container %s of pod %s: %w", container, podUID, err)
	}
	a.metrics.received.WithLabelValues("unpacked").Inc()
	a.log.Info("archive received", "migration", migration, "podUID", podUID, "container", container, "bytes", t.Bytes)
	return client.Delivery{Bytes: t.Bytes, Digest: t.Digest}, nil
}
