package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"ms2m.dev/ms2m-descheduler/pkg/plugin"
)

// metricsServer serves, on every replica, what controller-runtime's registry and the descheduler's hold.
func metricsServer(address string) (*manager.Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(
		prometheus.Gatherers{metrics.Registry, prometheus.GathererFunc(plugin.GatherMetrics)},
		promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError},
	))
	return &manager.Server{
		Name:     "metrics",
		Server:   &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		Listener: listener,
	}, nil
}
