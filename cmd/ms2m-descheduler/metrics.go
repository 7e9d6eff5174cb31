package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	deschedulermetrics "sigs.k8s.io/descheduler/metrics"
)

// metricsServer serves, on every replica, what controller-runtime's registry and the descheduler's hold.
func metricsServer(address string) (*manager.Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(
		prometheus.Gatherers{metrics.Registry, prometheus.GathererFunc(gatherDescheduler)},
		promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError},
	))
	return &manager.Server{
		Name:     "metrics",
		Server:   &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		Listener: listener,
	}, nil
}

// gatherDescheduler leaves out what both registries have, as the metrics of the process.
func gatherDescheduler() ([]*dto.MetricFamily, error) {
	all, err := legacyregistry.DefaultGatherer.Gather()
	var own []*dto.MetricFamily
	for _, family := range all {
		if strings.HasPrefix(family.GetName(), deschedulermetrics.DeschedulerSubsystem+"_") {
			own = append(own, family)
		}
	}
	return own, err
}
