package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/pkg/gate"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// Environment, set by the webhook that prepares the pod.
const (
	envStart     = "MS2M_START"
	envBrokerURI = "MS2M_BROKER_URI"
)

type serveOptions struct {
	listen, metrics, folder, upstream, start string
}

func serveCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Proxy the app's connections, and obey the control socket",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serve(ctx, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", ":45672", "address for the app's redirected connections")
	f.StringVar(&o.metrics, "metrics", ":45673", "address of /metrics and /healthz")
	f.StringVar(&o.folder, "folder", "/run/ms2m", "folder of the control socket and the mode record")
	f.StringVar(&o.upstream, "upstream", "", "broker's host:port, for use without redirect; default: where each connection was going")
	f.StringVar(&o.start, "start", os.Getenv(envStart), "mode without a record: open or closed (environment "+envStart+")")
	return c
}

func serve(ctx context.Context, o serveOptions) error {
	start, err := startMode(o.start)
	if err != nil {
		return err
	}
	upstream := gate.OriginalDestination
	if o.upstream != "" {
		upstream = func(net.Conn) (string, error) { return o.upstream, nil }
	}
	g, err := gate.New(gate.Config{Folder: o.folder, Start: start, BrokerURI: os.Getenv(envBrokerURI), Upstream: upstream})
	if err != nil {
		return err
	}
	app, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening for the app: %w", err)
	}
	slog.Info("gate listens", "address", app.Addr().String(), "mode", g.Status().Mode)
	run, ctx := errgroup.WithContext(ctx)
	run.Go(func() error { return g.Serve(app) })
	run.Go(g.ServeControl)
	metrics := &http.Server{Addr: o.metrics, Handler: metricsHandler(g), ReadHeaderTimeout: 5 * time.Second}
	run.Go(func() error {
		if err := metrics.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving metrics: %w", err)
		}
		return nil
	})
	run.Go(func() error {
		<-ctx.Done()
		g.Close()
		return metrics.Close()
	})
	return run.Wait()
}

func startMode(s string) (control.Mode, error) {
	switch s {
	case "", "open":
		return control.ModeOpen, nil
	case "closed":
		return control.ModeClosed, nil
	}
	return "", fmt.Errorf("mode to start in is %q: want open or closed", s)
}

func metricsHandler(g *gate.Gate) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(g, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		g.Status() // needs the gate's locks: it does not answer when they are stuck
		fmt.Fprintln(w, "ok")
	})
	return mux
}
