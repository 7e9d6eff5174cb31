//go:build integration

// Package install prepares a real node that knows nothing of the product, as a user does, and gives it back.
package install

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/cluster"
)

const (
	poll   = 200 * time.Millisecond
	config = "/etc/containerd/config.toml"
)

// node is the only one of the cluster.
type node struct {
	*cluster.Cluster
	t *testing.T
}

func (n *node) exec(argv ...string) string {
	n.t.Helper()
	out, err := n.NodeExec(n.t.Context(), "node1", argv...)
	require.NoError(n.t, err)
	return out
}

func (n *node) kubectl(args string) string {
	n.t.Helper()
	out, err := n.Kubectl(n.t.Context(), strings.Fields(args)...)
	require.NoError(n.t, err)
	return out
}

func (n *node) eventually(condition func() bool, what string) {
	n.t.Helper()
	require.Eventually(n.t, condition, 2*time.Minute, poll, what)
}

// containerd is the PID of the node's.
func (n *node) containerd() string {
	n.t.Helper()
	return n.exec("pgrep", "-x", "containerd")
}

func (n *node) apply(path string) {
	n.t.Helper()
	root, err := cluster.ProjectRoot()
	require.NoError(n.t, err)
	flag := "-f"
	if info, err := os.Stat(filepath.Join(root, path)); err == nil && info.IsDir() {
		flag = "-k"
	}
	n.kubectl("apply --server-side " + flag + " " + filepath.Join(root, path))
}

func TestNodeIsPreparedAndGivenBack(t *testing.T) {
	c, done, err := cluster.Use(t.Context(), cluster.Options{Nodes: 1, Dir: t.TempDir(), Out: os.Stderr})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, done(context.WithoutCancel(t.Context()))) })
	n := &node{c, t}
	n.exec("rm", "/usr/sbin/criu")
	before, pid := n.exec("cat", config), n.containerd()

	for _, manifest := range []string{"manifests/namespace.yaml", "manifests/runtimeclass.yaml", "manifests/node"} {
		n.apply(manifest)
	}
	n.kubectl("-n ms2m-system rollout status daemonset/ms2m-node --timeout=120s")
	restarted := n.containerd()
	require.NotEqual(t, pid, restarted, "containerd was restarted")
	require.Contains(t, n.kubectl("get events --field-selector involvedObject.kind=Node,reason=RuntimeRestarting -o jsonpath={.items[*].message}"),
		"its configuration has the runtime handler ms2m now")
	require.True(t, strings.HasSuffix(n.exec("cat", config), before), "what the node had stays as it was")
	var record struct{ Runc, CRIU, CRIUPath string }
	require.NoError(t, json.Unmarshal([]byte(n.exec("cat", "/var/lib/ms2m/node.json")), &record))
	require.NotEmpty(t, record.Runc)
	require.Equal(t, "/opt/ms2m/criu/criu\n", n.exec("readlink", "-f", record.CRIUPath), "the node has the CRIU of the image")
	require.NotEmpty(t, record.CRIU)

	// Nothing changes when the installation is repeated or updated.
	n.kubectl("-n ms2m-system rollout restart daemonset/ms2m-node")
	n.kubectl("-n ms2m-system rollout status daemonset/ms2m-node --timeout=120s")
	require.Equal(t, restarted, n.containerd())

	// A pod keeps its handler from being taken away.
	require.NoError(t, c.Apply(t.Context(), pod))
	n.kubectl("label node node1 ms2m.dev/ready=true") // there is no agent
	n.kubectl("wait --for=condition=Ready pod/prepared --timeout=60s")
	n.kubectl("-n ms2m-system delete daemonset/ms2m-node --wait=false")
	n.eventually(func() bool {
		return strings.Contains(n.kubectl("-n ms2m-system get pods -l app.kubernetes.io/name=ms2m-node -o jsonpath={.items[*].metadata.deletionTimestamp}"), "T")
	}, "the installer ends")
	require.Equal(t, restarted, n.containerd())
	require.NotEqual(t, before, n.exec("cat", config))

	n.kubectl("delete pod prepared --grace-period=1")
	n.eventually(func() bool { return n.exec("cat", config) == before }, "the configuration is as it was")
	n.eventually(func() bool {
		return n.kubectl("-n ms2m-system get pods -l app.kubernetes.io/name=ms2m-node -o name") == ""
	}, "the installer has ended")
	require.NotEqual(t, restarted, n.containerd())
	require.Empty(t, n.exec("sh", "-c", "find /opt/ms2m /var/lib/ms2m -mindepth 1; ls -d /etc/containerd/conf.d /usr/local/sbin/criu 2>/dev/null; true"))
}

const pod = `
apiVersion: v1
kind: Pod
metadata: {name: prepared, namespace: default}
spec:
  runtimeClassName: ms2m
  terminationGracePeriodSeconds: 1
  containers: [{name: app, image: "ms2m.dev/rabbitmq:4", imagePullPolicy: Never, command: [sleep, inf]}]
`
