package plugin

import (
	"context"
	"log/slog"

	"github.com/spf13/pflag"
	"sigs.k8s.io/descheduler/pkg/tracing"
)

// Tracing are the descheduler's own flags for its traces.
type Tracing struct {
	endpoint   string
	caCert     string
	service    string
	namespace  string
	sampleRate float64
	fallback   bool
}

// AddFlags adds them to f.
func (o *Tracing) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.endpoint, "otel-collector-endpoint", "", "Address of the OpenTelemetry collector; empty for no traces.")
	f.StringVar(&o.caCert, "otel-transport-ca-cert", "", "Authority's certificate of the collector.")
	f.StringVar(&o.service, "otel-service-name", "ms2m-descheduler", "Service name in traces.")
	f.StringVar(&o.namespace, "otel-trace-namespace", "", "Service namespace in traces.")
	f.Float64Var(&o.sampleRate, "otel-sample-rate", 1, "Share of the cycles that are traced, 0 to 1.")
	f.BoolVar(&o.fallback, "otel-fallback-no-op-on-error", false, "Go on without traces when the collector cannot be set up.")
}

// Start sends traces until the returned function is called.
func (o *Tracing) Start(ctx context.Context) (stop func()) {
	err := tracing.NewTracerProvider(ctx, o.endpoint, o.caCert, o.service, o.namespace, o.sampleRate, o.fallback)
	if err != nil {
		slog.ErrorContext(ctx, "Setting up traces failed", "error", err)
		return func() {}
	}
	return func() { _ = tracing.Shutdown(context.WithoutCancel(ctx)) }
}
