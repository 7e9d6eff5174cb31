package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/pkg/gate"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/transport"
)

// Environment, set by the webhook that prepares the pod.
const (
	envStart     = "MS2M_START"
	envBrokerURI = "MS2M_BROKER_URI"
)

type serveOptions struct {
	listen                           []string
	metrics, folder, upstream, start string
	tls                              transport.TLS
	tlsPort                          uint16
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
	// The redirect leads to loopback addresses, and nobody else has business here.
	f.StringSliceVar(&o.listen, "listen", []string{"127.0.0.1:45672", "[::1]:45672"}, "addresses for the app's redirected connections; those that this machine lacks are left out")
	f.StringVar(&o.metrics, "metrics", ":45673", "address of /metrics and /healthz")
	f.StringVar(&o.folder, "folder", "/run/ms2m", "folder of the control socket and the mode record")
	f.StringVar(&o.upstream, "upstream", "", "broker's host:port, for use without redirect; default: where each connection was going")
	f.StringVar(&o.start, "start", os.Getenv(envStart), "mode without a record: open or closed (environment "+envStart+")")
	f.StringVar(&o.tls.Folder, "tls", "", "folder of ca.crt, and perhaps tls.crt and tls.key: speak TLS to the broker")
	f.StringVar(&o.tls.Name, "tls-name", "", "name in the broker's certificate; default: the host in "+envBrokerURI+" if that is amqps, else the address dialled")
	f.Uint16Var(&o.tlsPort, "tls-port", 5671, "the broker's TLS port, in place of the port that the app dials")
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
	g, err := gate.New(gate.Config{
		Folder: o.folder, Start: start, BrokerURI: os.Getenv(envBrokerURI), Upstream: upstream, TLS: o.brokerTLS(), TLSPort: o.tlsPort,
	})
	if err != nil {
		return err
	}
	app, err := listen(o.listen)
	if err != nil {
		return err
	}
	slog.Info("gate listens", "addresses", o.listen, "mode", g.Status().Mode)
	run, ctx := errgroup.WithContext(ctx)
	run.Go(func() error { return g.Serve(app...) })
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

// listen on all addresses that there are: a pod may be without IPv6, or without IPv4.
func listen(addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, address := range addresses {
		ln, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			slog.Info("no such address here", "address", address)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listening for the app: %w", err)
		}
		all = append(all, ln)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("listening for the app: this machine has none of the addresses %s", strings.Join(addresses, ", "))
	}
	return all, nil
}

// brokerTLS is how to speak TLS to the broker, nil for a plain connection. The app dials an address that a certificate
// seldom has, but the log's URI has the broker's name.
func (o serveOptions) brokerTLS() *transport.TLS {
	if o.tls.Folder == "" {
		return nil
	}
	if u, err := url.Parse(os.Getenv(envBrokerURI)); err == nil && u.Scheme == "amqps" && o.tls.Name == "" {
		o.tls.Name = u.Hostname()
	}
	return &o.tls
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
