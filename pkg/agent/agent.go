// Package agent is the part of the system on every node: it asks the kubelet for checkpoints, streams their archives to
// other agents, keeps restore tickets, passes commands to the gates of its node, and tells the cluster which pod is the
// active instance.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	"k8s.io/client-go/kubernetes"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/archive"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/delivery"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/kubelet"
)

// Options of an agent.
type Options struct {
	NodeName string
	HostIP   string
	// Root is the node's folder, shared with the runtime wrapper.
	Root string
	// Checkpoints is the folder into which the kubelet writes archives.
	Checkpoints string
	// KubeletCertificate is the file of the certificate that the kubelet serves with.
	KubeletCertificate string
	TokenFile          string
	Identity           client.Identity
	// Listen and Metrics are the addresses of the API and of /metrics and /healthz.
	Listen, Metrics string
	// Bandwidth of deliveries in bytes a second, 0 for no limit.
	Bandwidth int64
	// Limits of the archives that are received.
	Limits archive.Limits
	// Removed, if set, tells at the end whether the agent is taken away from the cluster.
	Removed func(context.Context) bool
}

// Agent of one node.
type Agent struct {
	options  Options
	log      *slog.Logger
	kube     kubernetes.Interface
	pods     *pods
	gates    *gates
	active   *active
	kubelet  *kubelet.Client
	records  *records
	tickets  *fcc.Store
	sender   *delivery.Sender
	receiver *delivery.Receiver
	metrics  *metrics
}

// New returns an agent that speaks to the cluster through kube.
func New(o Options, kube kubernetes.Interface, log *slog.Logger) (*Agent, error) {
	config, err := o.Identity.ClientTLS()
	if err != nil {
		return nil, err
	}
	var limit *rate.Limiter
	if o.Bandwidth > 0 {
		limit = rate.NewLimiter(rate.Limit(o.Bandwidth), max(int(o.Bandwidth/10), 256<<10))
	}
	tickets := fcc.NewStore(o.Root)
	a := &Agent{
		options: o, log: log, kube: kube, tickets: tickets,
		pods:     newPods(kube, o.NodeName),
		gates:    newGates(filepath.Join(o.Root, "gates")),
		kubelet:  kubelet.New(o.HostIP, o.TokenFile, o.KubeletCertificate),
		records:  newRecords(filepath.Join(o.Root, "checkpoints"), o.Checkpoints),
		sender:   &delivery.Sender{HTTP: client.NewHTTP(config), Limit: limit},
		receiver: &delivery.Receiver{Tickets: tickets, Limits: o.Limits},
		metrics:  newMetrics(),
	}
	a.active = &active{kube: kube, pods: a.pods, gates: a.gates, log: log}
	return a, nil
}

// Run serves until the context is done.
func (a *Agent) Run(ctx context.Context) error {
	config, err := a.options.Identity.ServerTLS()
	if err != nil {
		return err
	}
	if err := a.pods.start(ctx); err != nil {
		return err
	}
	api := &http.Server{Addr: a.options.Listen, Handler: a.Handler(), TLSConfig: config, ReadHeaderTimeout: 10 * time.Second}
	registry := prometheus.NewRegistry()
	registry.MustRegister(a.metrics.collectors()...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	observed := &http.Server{Addr: a.options.Metrics, Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, api, func(l net.Listener) error { return api.ServeTLS(l, "", "") }) })
	group.Go(func() error { return serve(ctx, observed, observed.Serve) })
	group.Go(func() error { a.active.watch(ctx); return nil })
	group.Go(func() error { a.sweepOften(ctx); return nil })
	group.Go(func() error { a.labelOften(ctx); return nil })
	a.log.Info("agent is up", "node", a.options.NodeName, "listen", a.options.Listen)
	return errors.Join(group.Wait(), a.leave(context.WithoutCancel(ctx)))
}

// leave takes the labels off the node when the agent is removed, and not when it only starts anew.
func (a *Agent) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if a.options.Removed == nil || !a.options.Removed(ctx) {
		return nil
	}
	a.log.Info("agent is removed: taking its labels off the node")
	return a.unlabel(ctx)
}

// serve until the context is done; then running requests get a moment to end.
func serve(ctx context.Context, s *http.Server, accept func(net.Listener) error) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(grace)
	})
	defer stop()
	if err := accept(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
