// Command ms2m-agent runs on every node; see package pkg/agent. Its subcommands install and remove prepare the node and
// undo it; see package pkg/install.
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
	"ms2m.dev/ms2m-descheduler/pkg/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		stop()
		os.Exit(1) //nolint:gocritic // stopped above
	}
}

func command() *cobra.Command {
	var o agent.Options
	var identity string
	var of installation
	c := &cobra.Command{
		Use:          "ms2m-agent",
		Short:        "Checkpoints, delivers and restores containers of this node on behalf of ms2m-descheduler",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
	}
	of.addFlags(c, "ms2m-agent")
	f := c.Flags()
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
	c.RunE = func(c *cobra.Command, _ []string) error {
		if of.node == "" || o.HostIP == "" {
			return fmt.Errorf("reading flags: --node-name and --host-ip are needed")
		}
		o.NodeName, o.Identity = of.node, client.Identity(identity)
		kube, err := of.cluster()
		if err != nil {
			return err
		}
		o.Removed = func(ctx context.Context) bool { return of.removed(ctx, kube) }
		a, err := agent.New(o, kube, logger())
		if err != nil {
			return err
		}
		return a.Run(c.Context())
	}
	c.AddCommand(installCommand(), removeCommand())
	return c
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

// installation is what a part of it knows of itself.
type installation struct{ node, namespace, daemonSet, kubeconfig string }

func (i *installation) addFlags(c *cobra.Command, daemonSet string) {
	f := c.Flags()
	f.StringVar(&i.node, "node-name", os.Getenv("NODE_NAME"), "name of this node (env NODE_NAME)")
	f.StringVar(&i.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace of the installation (env POD_NAMESPACE)")
	f.StringVar(&i.daemonSet, "daemonset", daemonSet, "DaemonSet whose removal takes back what was done to the node")
	f.StringVar(&i.kubeconfig, "kubeconfig", "", "kubeconfig to use outside of a pod")
}

func (i *installation) cluster() (kubernetes.Interface, error) {
	config, err := clusterConfig(i.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding cluster: %w", err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making client of cluster: %w", err)
	}
	return kube, nil
}

func (i *installation) removed(ctx context.Context, kube kubernetes.Interface) bool {
	return i.namespace != "" && install.Removed(ctx, kube, i.namespace, i.daemonSet)
}

func clusterConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}
