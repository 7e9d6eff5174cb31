package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/delivery"
)

// deliver streams an archive of this node to the agent of the target's node.
func (a *Agent) deliver(r *http.Request) (any, error) {
	var in client.DeliveryRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := checkNames(in.Container, in.Migration, in.SourceUID, in.TargetUID); err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(in.Address); err != nil {
		return nil, problem(http.StatusBadRequest, "reading request: address of the target's agent: %w", err)
	}
	defer a.records.lock(in.SourceUID, in.Container)()
	rec, err := a.records.get(in.Migration, in.SourceUID, in.Container)
	switch {
	case err != nil:
		return nil, err
	case rec == nil || rec.Checkpoint == nil:
		return nil, problem(http.StatusNotFound, "delivering container %s of pod %s: migration %s has no checkpoint of it here", in.Container, in.SourceUID, in.Migration)
	case rec.Delivery != nil && rec.DeliveredTo == in.TargetUID:
		return *rec.Delivery, nil
	case rec.Delivery != nil:
		return nil, problem(http.StatusGone, "delivering container %s of pod %s: the archive went to pod %s and is removed", in.Container, in.SourceUID, rec.DeliveredTo)
	}
	return a.send(r.Context(), in, *rec)
}

func (a *Agent) send(ctx context.Context, in client.DeliveryRequest, rec record) (any, error) {
	target := url.URL{Scheme: "https", Host: in.Address, Path: client.PathArchives + "/" + in.TargetUID + "/" + in.Container}
	started := time.Now()
	bytes, digest, err := a.sender.Send(ctx, target.String(), in.Migration, rec.Archive)
	if err != nil {
		result := "broken"
		var rejected *delivery.RejectedError
		if errors.As(err, &rejected) {
			result = "rejected"
		}
		a.metrics.sent.WithLabelValues(result).Inc()
		return nil, fmt.Errorf("delivering container %s to %s: %w", in.Container, in.Address, err)
	}
	seconds := time.Since(started).Seconds()
	rec.Delivery, rec.DeliveredTo = &client.Delivery{Bytes: bytes, Digest: digest}, in.TargetUID
	if err := a.records.put(rec); err != nil {
		return nil, err
	}
	// The kubelet never removes archives; this one holds the process's memory and has served.
	if err := os.Remove(rec.Archive); err != nil {
		a.log.Warn("removing delivered archive failed", "archive", rec.Archive, "error", err)
	}
	a.metrics.sent.WithLabelValues("acknowledged").Inc()
	a.metrics.deliverySeconds.Observe(seconds)
	a.log.Info("archive delivered", "migration", in.Migration, "container", in.Container, "to", in.Address, "bytes", bytes, "seconds", seconds)
	return *rec.Delivery, nil
}
