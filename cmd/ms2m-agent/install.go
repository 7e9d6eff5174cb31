package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"ms2m.dev/ms2m-descheduler/pkg/install"
)

func installFlags(c *cobra.Command, o *install.Options) {
	f := c.Flags()
	f.StringVar(&o.Socket, "socket", "", "socket of the container runtime (default: containerd's or else CRI-O's)")
	f.StringVar(&o.ContainerdConfig, "containerd-config", "", "containerd's configuration file (default /etc/containerd/config.toml)")
	f.StringVar(&o.DropIn, "drop-in", "", "file with the runtime handler that containerd's configuration imports (default conf.d/ms2m.toml beside it)")
	f.StringVar(&o.CRIOConfig, "crio-config", "", "folder of CRI-O's configuration (default /etc/crio)")
}

func installCommand() *cobra.Command {
	var o install.Options
	var of installation
	c := &cobra.Command{
		Use: "install", Short: "Prepare this node: runtime wrapper, CRIU, runtime handler", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log = logger()
			if kube, err := of.cluster(); err == nil && of.node != "" {
				o.Say = func(ctx context.Context, message string) { event(ctx, kube, of.node, message) }
			}
			return install.Install(c.Context(), o)
		},
	}
	installFlags(c, &o)
	of.addFlags(c, "ms2m-node")
	return c
}

func removeCommand() *cobra.Command {
	var o install.Options
	var of installation
	var stay bool
	var grace time.Duration
	c := &cobra.Command{
		Use: "remove", Short: "Take back what install did to this node", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log = logger()
			ctx := c.Context()
			if stay {
				<-ctx.Done()
				kube, err := of.cluster()
				if err != nil {
					return err
				}
				ctx = context.WithoutCancel(ctx)
				if !of.removed(ctx, kube) {
					o.Log.Info("the DaemonSet stays: leaving the node prepared", "daemonset", of.daemonSet)
					return nil
				}
			}
			ctx, cancel := context.WithTimeout(ctx, grace)
			defer cancel()
			return install.Remove(ctx, o)
		},
	}
	installFlags(c, &o)
	of.addFlags(c, "ms2m-node")
	c.Flags().BoolVar(&stay, "with-daemonset", false, "wait for the end of this pod, and then only act if its DaemonSet is taken away")
	c.Flags().DurationVar(&grace, "grace", 100*time.Second, "how long to wait for the end of pods that use the runtime handler")
	return c
}

// event tells people who look at the node.
func event(ctx context.Context, kube kubernetes.Interface, node, message string) {
	now := metav1.Now()
	_, err := kube.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: node + ".ms2m."},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: node, UID: types.UID(node)},
		Type:           corev1.EventTypeNormal, Reason: "RuntimeRestarting", Message: message, Count: 1,
		FirstTimestamp: now, LastTimestamp: now, Source: corev1.EventSource{Component: "ms2m-node", Host: node},
	}, metav1.CreateOptions{})
	if err != nil {
		logger().Warn("telling of the restart failed", "error", fmt.Errorf("creating event: %w", err))
	}
}
