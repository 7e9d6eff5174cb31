package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/plugin"
)

// options are the flags. What a person may want to change while the program runs is in the policy ConfigMap instead.
type options struct {
	namespace       string
	policyConfigMap string
	gateImage       string
	leaderElect     bool
	metricsAddr     string
	healthAddr      string
	webhookPort     int
	qps             float32
	burst           int
	loggingFormat   string
	tracing         plugin.Tracing
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "ms2m-descheduler",
		Short:         "Deschedule pods; migrate live those that opted in",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.setupLogging(); err != nil {
				return err
			}
			err := run(cmd.Context(), &o)
			if err != nil {
				slog.Error("Ending", "error", err)
			}
			return err
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *options) addFlags(f *pflag.FlagSet) {
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = "ms2m-system"
	}
	f.StringVar(&o.namespace, "namespace", namespace, "Namespace of the installation; default from POD_NAMESPACE.")
	f.StringVar(&o.policyConfigMap, "policy-configmap", v1alpha1.PolicyConfigMap, "ConfigMap, of the installation's namespace, that holds the policy.")
	f.StringVar(&o.gateImage, "gate-image", "ms2m.dev/ms2m-gate:dev", "Image of the gate that is put into migratable pods.")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "Let only one replica deschedule and migrate. Every replica serves the webhook.")
	f.StringVar(&o.metricsAddr, "metrics-addr", ":8080", "Address that serves /metrics; empty for none.")
	f.StringVar(&o.healthAddr, "health-addr", ":8081", "Address that serves /healthz and /readyz.")
	f.IntVar(&o.webhookPort, "webhook-port", 9443, "Port that serves the webhook.")
	f.Float32Var(&o.qps, "client-connection-qps", 50, "Requests per second to the API server.")
	f.IntVar(&o.burst, "client-connection-burst", 100, "Requests to the API server in a burst.")
	f.StringVar(&o.loggingFormat, "logging-format", "text", "Format of the log: text or json.")
	o.tracing.AddFlags(f)
	klogFlags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(klogFlags)
	f.AddGoFlag(klogFlags.Lookup("v"))
	f.AddGoFlag(flag.CommandLine.Lookup("kubeconfig"))
}

// setupLogging sends the three logging interfaces in use, slog's, klog's and logr's, to one stream.
func (o *options) setupLogging() error {
	// klog's verbosity n is slog's level -n.
	verbosity := slog.LevelInfo
	for klog.V(klog.Level(-verbosity + 1)).Enabled() {
		verbosity--
	}
	level := &slog.HandlerOptions{Level: verbosity}
	var handler slog.Handler
	switch o.loggingFormat {
	case "text":
		handler = slog.NewTextHandler(os.Stderr, level)
	case "json":
		handler = slog.NewJSONHandler(os.Stderr, level)
	default:
		return fmt.Errorf("reading --logging-format: %q is neither text nor json", o.loggingFormat)
	}
	slog.SetDefault(slog.New(handler))
	klog.SetSlogLogger(slog.Default())
	ctrl.SetLogger(logr.FromSlogHandler(handler))
	return nil
}
