// Command ms2m-agent runs on every node; see package pkg/agent.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"ms2m.dev/ms2m-descheduler/pkg/agent"
	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
)

func main() {
	if err := command().Execute(); err != nil {
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o agent.Options
	var kubeconfig, identity string
	c := &cobra.Command{
		Use:          "ms2m-agent",
		Short:        "Checkpoints, delivers and restores containers of this node on behalf of ms2m-descheduler",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
	}
	f := c.Flags()
	f.StringVar(&o.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of this node (env NODE_NAME)")
	f.StringVar(&o.HostIP, "host-ip", os.Getenv("HOST_IP"), "address of this node's kubelet (env HOST_IP)")
	f.StringVar(&o.Root, "root", "/var/lib/ms2m", "folder shared with the runtime wrapper")
	f.StringVar(&o.Checkpoints, "checkpoints", "/var/lib/kubelet/checkpoints", "folder in which the kubelet leaves checkpoint archives")
	f.StringVar(&o.KubeletCertificate, "kubelet-certificate", "/var/lib/kubelet/pki/kubelet.crt", "certificate that the kubelet must present, exactly")
	f.StringVar(&o.TokenFile, "token-file", "/var/run/secrets/kubernetes.io/serviceaccount/token", "service account token for the kubelet")
	f.StringVar(&identity, "tls-dir", "/etc/ms2m/tls", "folder of tls.crt, tls.key and ca.crt, read again when they change")
	f.StringVar(&o.Listen, "listen", ":9443", "address of the API, mutual TLS")
	f.StringVar(&o.Metrics, "metrics", ":9444", "address of /metrics and /healthz")
	f.Int64Var(&o.Bandwidth, "bandwidth", 0, "limit of deliveries, bytes a second; 0 for none")
	f.Int64Var(&o.Limits.Bytes, "max-archive-bytes", 0, "largest archive that is accepted; 0 for 64 GiB")
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig to use outside of a pod")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.NodeName == "" || o.HostIP == "" {
			return fmt.Errorf("reading flags: --node-name and --host-ip are needed")
		}
		o.Identity = client.Identity(identity)
		config, err := clusterConfig(kubeconfig)
		if err != nil {
			return fmt.Errorf("finding cluster: %w", err)
		}
		kube, err := kubernetes.NewForConfig(config)
		if err != nil {
			return fmt.Errorf("making client of cluster: %w", err)
		}
		a, err := agent.New(o, kube, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			return err
		}
		return a.Run(c.Context())
	}
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	c.SetContext(ctx)
	return c
}

func clusterConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}
