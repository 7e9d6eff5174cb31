//go:build integration

package cluster

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// TestCluster starts a cluster of its own, so none may be up.
func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c, err := Up(ctx, Options{WithoutProduct: true, Dir: t.TempDir(), Out: testWriter{t}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Down(context.WithoutCancel(ctx)))
		require.NoError(t, c.Down(context.WithoutCancel(ctx)), "twice is no error")
		requireNothingLeft(t, c)
	})
	require.NoError(t, c.DeployRabbitMQ(ctx))
	for _, n := range []string{"node1", "node2"} {
		require.NoError(t, c.Apply(ctx, probePod(n)))
	}
	require.NoError(t, c.AwaitPods(ctx, "default", "app=probe", 2))

	t.Run("kubelets admit nobody unknown", func(t *testing.T) { testKubeletAccess(t, c) })
	t.Run("names resolve and Services are reached from every node", func(t *testing.T) {
		for _, pod := range []string{"probe-node1", "probe-node2"} {
			out, err := c.Kubectl(ctx, "exec", pod, "--", "bash", "-ec",
				"getent hosts kubernetes.default; exec 3<>/dev/tcp/"+RabbitMQHost+"/5672; echo connected")
			require.NoError(t, err)
			require.Contains(t, out, apiServiceIP)
			require.Contains(t, out, "connected")
		}
	})
	t.Run("logs", func(t *testing.T) {
		out, err := c.Kubectl(ctx, "logs", "-n", RabbitMQNamespace, RabbitMQPod)
		require.NoError(t, err)
		require.Contains(t, out, "Server startup complete")
	})
	t.Run("broker users have their rights and no more", func(t *testing.T) { testBrokerUsers(ctx, t, c) })
	t.Run("containers can be checkpointed", func(t *testing.T) {
		out, err := c.Kubectl(ctx, "get", "pod", "probe-node1", "-o", "jsonpath={.metadata.namespace}/{.metadata.name}")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, kubeletStatus(t, c, http.MethodPost, "/checkpoint/"+out+"/probe", "admin"))
	})
	t.Run("a node is added, dies and comes back", func(t *testing.T) {
		n, err := c.AddNode(ctx)
		require.NoError(t, err)
		require.NoError(t, c.KillNode(ctx, n.Name))
		_, err = c.NodeExec(ctx, n.Name, "true")
		require.ErrorContains(t, err, "no such node running")
		_, err = c.Kubectl(ctx, "wait", "--for=condition=Ready=Unknown", "node/"+n.Name, "--timeout=60s")
		require.NoError(t, err)
		require.NoError(t, c.StartNode(ctx, n.Name))
		out, err := c.NodeExec(ctx, n.Name, "hostname")
		require.NoError(t, err)
		require.Equal(t, n.Name+"\n", out)
	})
	t.Run("a node's plug is pulled and put back", func(t *testing.T) {
		reach := func(context.Context) (bool, error) {
			conn, err := net.DialTimeout("tcp", nodeAt(2).IP()+":10250", time.Second)
			if err != nil {
				return false, nil
			}
			return true, conn.Close()
		}
		require.NoError(t, c.DisconnectNode("node2"))
		reached, err := reach(ctx)
		require.NoError(t, err)
		require.False(t, reached)
		require.NoError(t, c.ReconnectNode("node2"))
		require.NoError(t, poll(ctx, "node2 to be reached", reach))
	})
	t.Run("a service that ends is started again", func(t *testing.T) {
		before, err := c.NodeExec(ctx, "node2", "pgrep", "-x", "kubelet")
		require.NoError(t, err)
		_, err = c.NodeExec(ctx, "node2", "pkill", "-KILL", "-x", "kubelet")
		require.NoError(t, err)
		require.NoError(t, poll(ctx, "the kubelet", func(ctx context.Context) (bool, error) {
			after, err := c.NodeExec(ctx, "node2", "pgrep", "-x", "kubelet")
			return err == nil && after != before, nil
		}))
	})
}

// TestRemainsInAnotherFolder: all processes of a cluster were killed, and its folder is lost.
func TestRemainsInAnotherFolder(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	up := func() *Cluster {
		c, err := Up(ctx, Options{WithoutProduct: true, Nodes: 1, Dir: t.TempDir(), Out: testWriter{t}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Down(context.WithoutCancel(ctx))) })
		return c
	}
	first := up()
	_, err := Up(ctx, Options{WithoutProduct: true, Dir: t.TempDir(), Out: testWriter{t}})
	require.ErrorContains(t, err, "one is up in "+first.Dir())

	s, err := first.load()
	require.NoError(t, err)
	require.NoError(t, endProcesses(ctx, slices.Concat(first.controlPlane(), slices.Collect(maps.Values(s.Processes)))))
	require.NoError(t, os.RemoveAll(first.Dir()))
	second := up()
	require.NoError(t, second.Down(ctx))
	requireNothingLeft(t, second)
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func probePod(node string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: probe-%[1]s, namespace: default, labels: {app: probe}}
spec:
  nodeName: %[1]s
  securityContext: {runAsUser: 0, seccompProfile: {type: RuntimeDefault}}
  containers: [{name: probe, image: "ms2m.dev/rabbitmq:4", imagePullPolicy: Never, command: [sleep, inf]}]
`, node)
}

func testKubeletAccess(t *testing.T, c *Cluster) {
	require.Equal(t, http.StatusUnauthorized, kubeletStatus(t, c, http.MethodGet, "/pods", ""))
	require.Equal(t, http.StatusForbidden, kubeletStatus(t, c, http.MethodGet, "/pods", "scheduler"))
	require.Equal(t, http.StatusOK, kubeletStatus(t, c, http.MethodGet, "/pods", "admin"))
}

// kubeletStatus asks the kubelet of node1 as one of the cluster's identities, "" for nobody.
func kubeletStatus(t *testing.T, c *Cluster, method, path, identity string) int {
	t.Helper()
	config := &rest.Config{Host: "https://" + nodeAt(1).IP() + ":10250", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	if identity != "" {
		config.CertFile, config.KeyFile = c.pki(identity+".crt"), c.pki(identity+".key")
	}
	client, err := rest.HTTPClientFor(config)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func testBrokerUsers(ctx context.Context, t *testing.T, c *Cluster) {
	ip, err := c.PodIP(ctx, RabbitMQNamespace, RabbitMQPod)
	require.NoError(t, err)
	declare := func(user, queue string) error {
		conn, err := amqp.Dial("amqp://" + user + ":" + user + "@" + ip + ":5672/")
		require.NoError(t, err)
		defer conn.Close() //nolint:errcheck // may be broken by the broker
		channel, err := conn.Channel()
		require.NoError(t, err)
		if _, err := channel.QueueDeclare(queue, false, true, false, false, nil); err != nil {
			return err
		}
		require.NoError(t, channel.Confirm(false))
		confirmation, err := channel.PublishWithDeferredConfirm("", queue, false, false, amqp.Publishing{})
		require.NoError(t, err)
		acked, err := confirmation.WaitContext(ctx)
		require.True(t, acked)
		return err
	}
	require.NoError(t, declare(RabbitMQAppUser, "orders"))
	require.NoError(t, declare(RabbitMQLogUser, "ms2m.replay.x"))
	require.ErrorContains(t, declare(RabbitMQAppUser, "ms2m.replay.y"), "access to queue")
	require.ErrorContains(t, declare(RabbitMQLogUser, "other"), "access to queue")
}

func requireNothingLeft(t *testing.T, c *Cluster) {
	owner, err := bridgeOwner()
	require.NoError(t, err)
	require.Empty(t, owner)
	require.Empty(t, c.controlPlane())
	for i := 1; i <= MaxNodes; i++ {
		require.NoError(t, walkCgroups(nodeAt(i).Name, func(dir string) error { return fmt.Errorf("left: %s", dir) }))
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), c.Dir())
	left, err := filepath.Glob(filepath.Join(c.Dir(), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(c.Dir(), "logs")}, left)
}
