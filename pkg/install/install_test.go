package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

func TestContainerdGetsHandlerOnce(t *testing.T) {
	w := newWorld(t, "containerd")
	w.write(t, w.ContainerdConfig, "# by hand\nversion = 3\n")
	before := w.files(t)

	require.NoError(t, Install(t.Context(), w.Options))
	require.Equal(t, 1, w.restarts())
	require.Len(t, w.said, 1)
	require.Contains(t, w.said[0], "restarting containerd: its configuration has the runtime handler ms2m now")
	after := w.files(t)
	require.Equal(t, "wrapper 1", after["opt/bin/ms2m-runc"])
	require.Contains(t, after["containerd/conf.d/ms2m.toml"], "BinaryName = '"+w.Folder+"/bin/ms2m-runc'")
	require.Contains(t, after["containerd/conf.d/ms2m.toml"], "SystemdCgroup = true", "the cgroup driver is that of the node's runc")
	require.Contains(t, after["containerd/config.toml"], "# by hand")

	require.NoError(t, Install(t.Context(), w.Options))
	require.Equal(t, after, w.files(t))
	w.write(t, filepath.Join(w.Image, "ms2m-runc"), "wrapper 2")
	require.NoError(t, Install(t.Context(), w.Options))
	require.Equal(t, "wrapper 2", w.files(t)["opt/bin/ms2m-runc"])
	require.Equal(t, 1, w.restarts(), "a new wrapper needs no restart")

	require.NoError(t, Remove(t.Context(), w.Options))
	require.Equal(t, before, w.files(t), "the node is as it was")
	require.Equal(t, 2, w.restarts())
	require.NoError(t, Remove(t.Context(), w.Options))
	require.Equal(t, 2, w.restarts())
}

// Whatever the node has of its own stays: a handler by hand needs neither a file nor a restart.
func TestHandlerByHandIsEnough(t *testing.T) {
	w := newWorld(t, "containerd")
	w.write(t, w.ContainerdConfig, `version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.ms2m]
runtime_type = "io.containerd.runc.v2"
pod_annotations = ["ms2m.dev/*"]
container_annotations = ["ms2m.dev/*"]
options = {BinaryName = "`+w.Folder+`/bin/ms2m-runc", SystemdCgroup = true, IoUid = 0}
`)
	before := w.files(t)
	c, err := connect(t.Context(), w.Socket)
	require.NoError(t, err)
	pid, err := c.server()
	require.NoError(t, err)
	require.NoError(t, (&containerd{&node{Options: w.Options, cri: c}}).reload(t.Context(), pid))
	require.NoError(t, c.close())
	require.Equal(t, 1, w.restarts())

	require.NoError(t, Install(t.Context(), w.Options))
	require.Equal(t, 1, w.restarts())
	require.Equal(t, before["containerd/config.toml"], w.files(t)["containerd/config.toml"])
	require.NotContains(t, w.files(t), "containerd/conf.d/ms2m.toml")
}

// An installer that was killed before the restart makes up for it.
func TestForgottenRestartIsMade(t *testing.T) {
	w := newWorld(t, "containerd")
	n, err := open(t.Context(), w.Options)
	require.NoError(t, err)
	_, changed, err := n.configure(t.Context())
	require.NoError(t, err)
	require.True(t, changed)
	require.NoError(t, n.cri.close())

	require.NoError(t, Install(t.Context(), w.Options))
	require.Equal(t, 1, w.restarts())
}

func TestPodsKeepTheirHandler(t *testing.T) {
	w := newWorld(t, "containerd")
	require.NoError(t, Install(t.Context(), w.Options))
	before := w.files(t)
	w.write(t, filepath.Join(w.dir, "pod"), "")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, Remove(ctx, w.Options), "pods use it, which could neither restart nor end without it: shop/cart-0")
	require.NoError(t, os.Remove(filepath.Join(w.dir, "pod")))
	require.Equal(t, before, w.files(t))
	require.NoError(t, Remove(t.Context(), w.Options))
}

func TestNodeWithoutCRIUGetsTheImages(t *testing.T) {
	w := newWorld(t, "containerd")
	w.write(t, filepath.Join(w.Image, "criu/criu"), "criu")
	w.write(t, filepath.Join(w.Image, "criu/lib/libc.so"), "library")
	require.NoError(t, os.Symlink("libc.so", filepath.Join(w.Image, "criu/lib/libc.so.6")))
	w.path = []string{w.Bin}
	require.NoError(t, Install(t.Context(), w.Options))
	b, err := os.ReadFile(filepath.Join(w.Bin, "criu"))
	require.NoError(t, err)
	require.Equal(t, "criu", string(b))
	require.FileExists(t, filepath.Join(w.Folder, "criu/lib/libc.so.6"))
	require.NoError(t, Install(t.Context(), w.Options))
	require.NoError(t, Remove(t.Context(), w.Options))
	require.NoFileExists(t, filepath.Join(w.Bin, "criu"))

	w.write(t, filepath.Join(w.Bin, "criu"), "the node's own")
	require.NoError(t, Install(t.Context(), w.Options))
	require.NoError(t, Remove(t.Context(), w.Options))
	require.FileExists(t, filepath.Join(w.Bin, "criu"))
}

func TestCRIOGetsHandlerWithoutRestart(t *testing.T) {
	w := newWorld(t, "cri-o")
	w.write(t, filepath.Join(w.CRIOConfig, "crio.conf.d/10-crio.conf"), `[crio.runtime]
default_runtime = "crun"
[crio.runtime.runtimes.crun]
runtime_path = "/usr/libexec/crio/crun"
[crio.runtime.runtimes.runc]
runtime_path = "/usr/libexec/crio/runc"
runtime_root = "/run/runc"
monitor_path = "/usr/libexec/crio/conmon"
`)
	before := w.files(t)
	require.NoError(t, Install(t.Context(), w.Options))
	dropIn := w.files(t)["crio/crio.conf.d/99-ms2m.conf"]
	for _, line := range []string{
		"[crio.runtime.runtimes.ms2m]", "runtime_path = '" + w.Folder + "/bin/ms2m-runc'",
		"runtime_root = '/run/runc'", "monitor_path = '/usr/libexec/crio/conmon'",
	} {
		require.Contains(t, dropIn, line)
	}
	require.NotContains(t, dropIn, "default_runtime")
	require.JSONEq(t, `{"runc":"/usr/libexec/crio/runc","root":"`+w.Root+`"}`, w.files(t)["opt/runc.json"])
	require.NoError(t, Install(t.Context(), w.Options))
	require.Len(t, w.said, 1)
	require.NoError(t, Remove(t.Context(), w.Options))
	require.Equal(t, before, w.files(t))
	require.Zero(t, w.restarts())
}

func TestRemovedTellsAnUpdateFromTheEnd(t *testing.T) {
	now := metav1.Now()
	set := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ms2m-system", Name: "ms2m-node"}}
	kube := fake.NewClientset(set)
	removed := func() bool { return Removed(t.Context(), kube, "ms2m-system", "ms2m-node") }
	require.False(t, removed())
	fails := func(err error) {
		kube.PrependReactor("get", "daemonsets", func(k8stesting.Action) (bool, k8sruntime.Object, error) { return true, nil, err })
	}
	fails(errors.New("connection refused"))
	require.False(t, removed(), "in doubt it stays")
	fails(apierrors.NewForbidden(schema.GroupResource{}, "ms2m-node", nil))
	require.True(t, removed(), "the right to read it goes with it")
	require.True(t, Removed(t.Context(), fake.NewClientset(), "ms2m-system", "ms2m-node"))
	set.DeletionTimestamp, set.Finalizers = &now, []string{"foregroundDeletion"}
	require.True(t, Removed(t.Context(), fake.NewClientset(set), "ms2m-system", "ms2m-node"))
}
