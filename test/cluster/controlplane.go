package cluster

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
)

var controlPlanePrograms = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// etcd does not sync to disk: its data does not outlive the cluster.
func (c *Cluster) etcdArgs() []string {
	return []string{
		"--data-dir=" + filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=https://" + gateway + ":2379", "--advertise-client-urls=https://" + gateway + ":2379",
		"--listen-peer-urls=https://" + gateway + ":2380",
		"--cert-file=" + c.pki("etcd.crt"), "--key-file=" + c.pki("etcd.key"), "--trusted-ca-file=" + c.pki("ca.crt"), "--client-cert-auth",
		"--peer-cert-file=" + c.pki("etcd.crt"), "--peer-key-file=" + c.pki("etcd.key"), "--peer-trusted-ca-file=" + c.pki("ca.crt"), "--peer-client-cert-auth",
	}
}

func (c *Cluster) apiServerArgs() []string {
	return []string{
		"--bind-address=" + gateway, "--advertise-address=" + gateway, "--secure-port=6443",
		"--tls-cert-file=" + c.pki("apiserver.crt"), "--tls-private-key-file=" + c.pki("apiserver.key"),
		"--client-ca-file=" + c.pki("ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--etcd-servers=https://" + gateway + ":2379", "--etcd-cafile=" + c.pki("ca.crt"),
		"--etcd-certfile=" + c.pki("etcd.crt"), "--etcd-keyfile=" + c.pki("etcd.key"),
		"--service-cluster-ip-range=" + serviceRange,
		"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain,
		"--service-account-key-file=" + c.pki("service-accounts.key"),
		"--service-account-signing-key-file=" + c.pki("service-accounts.key"),
		"--kubelet-client-certificate=" + c.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.pki("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + c.pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + c.pki("front-proxy-client.crt"), "--proxy-client-key-file=" + c.pki("front-proxy-client.key"),
		// The host has no kube-proxy: Services of webhooks and aggregated APIs are reached by their pods' addresses.
		"--enable-aggregator-routing=true",
	}
}

func (c *Cluster) controllerManagerArgs() []string {
	return []string{
		"--bind-address=" + gateway, "--secure-port=6444", "--kubeconfig=" + c.pki("controller-manager.kubeconfig"), "--leader-elect=false",
		"--use-service-account-credentials", "--service-account-private-key-file=" + c.pki("service-accounts.key"),
		"--root-ca-file=" + c.pki("ca.crt"), "--kube-api-qps=100", "--kube-api-burst=200",
		// Tests that kill a node do not want to wait as long as a data centre.
		"--node-monitor-period=2s", "--node-monitor-grace-period=20s",
	}
}

func (c *Cluster) schedulerArgs() []string {
	return []string{"--bind-address=" + gateway, "--secure-port=6445", "--kubeconfig=" + c.pki("scheduler.kubeconfig"), "--leader-elect=false",
		"--kube-api-qps=100", "--kube-api-burst=200"}
}

// startControlPlane returns when the API server is ready and its clients have been started.
func (c *Cluster) startControlPlane(ctx context.Context) error {
	err := errors.Join(c.startProgram("etcd", c.etcdArgs()), c.startProgram("kube-apiserver", c.apiServerArgs()))
	if err != nil {
		return err
	}
	if err := c.awaitAPI(ctx); err != nil {
		return err
	}
	return errors.Join(
		c.startProgram("kube-controller-manager", c.controllerManagerArgs()),
		c.startProgram("kube-scheduler", c.schedulerArgs()))
}

func (c *Cluster) startProgram(name string, args []string) error {
	return c.start(name, exec.Command(filepath.Join(c.dir, "bin", name), args...))
}

func (c *Cluster) awaitAPI(ctx context.Context) error {
	config, err := c.RESTConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return poll(ctx, "the API server (see logs/kube-apiserver.log)", func(ctx context.Context) (bool, error) {
		_, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil, c.ended()
	})
}
