package agent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func TestNodeIsLabelledAsItIs(t *testing.T) {
	n := newNode(t, authority(t))
	require.NoError(t, n.kube.Tracker().Add(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node", Labels: map[string]string{"zone": "a", v1alpha1.LabelNodeCRIU: "3.17"}},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{
			KernelVersion: "6.18.44+deb", ContainerRuntimeVersion: "containerd://2.4.2",
		}},
	}))
	node := func() *corev1.Node {
		got, err := n.kube.CoreV1().Nodes().Get(t.Context(), "node", metav1.GetOptions{})
		require.NoError(t, err)
		return got
	}
	require.NoError(t, n.label(t.Context(), client.Node{CPUClass: "amd64-1", Problems: []string{"no criu", "no runc"}}))
	require.Equal(t, map[string]string{
		"zone": "a", "ms2m.dev/ready": "false", "ms2m.dev/kernel": "6.18.44-deb", "ms2m.dev/runtime": "containerd-2.4.2", "ms2m.dev/cpu": "amd64-1",
	}, node().Labels)
	require.Equal(t, "no criu; no runc", node().Annotations["ms2m.dev/problems"])

	fit := client.Node{CPUClass: "amd64-1", CRIU: "4.2.1"}
	require.NoError(t, n.label(t.Context(), fit))
	require.Equal(t, "true", node().Labels["ms2m.dev/ready"])
	require.Equal(t, "4.2.1", node().Labels["ms2m.dev/criu"])
	require.Empty(t, node().Annotations)
	n.kube.ClearActions()
	require.NoError(t, n.label(t.Context(), fit))
	for _, a := range n.kube.Actions() {
		require.NotEqual(t, "patch", a.GetVerb(), "what has not changed is not written")
	}

	require.NoError(t, n.unlabel(t.Context()))
	require.Equal(t, map[string]string{"zone": "a"}, node().Labels)
}

func TestFeaturesAreThoseThatEveryProcessorHas(t *testing.T) {
	info := "processor : 0\nflags\t\t: fpu vme avx2 avx512f tsc tsc_adjust aes hypervisor\n\nprocessor : 1\nflags\t\t: fpu avx2 aes tsc\n"
	features := cpuFeatures(info)
	require.Equal(t, []string{"aes", "avx2", "fpu", "tsc"}, features)
	require.NotEqual(t, cpuClass(features), cpuClass(features[1:]))
	require.Regexp(t, "^[a-z0-9]+-[0-9a-f]{8}$", cpuClass(nil))
}

func TestLabelValuesAreValid(t *testing.T) {
	require.Equal(t, "5.15-x-1.el9", labelValue("5.15~x+1.el9"))
	require.LessOrEqual(t, len(labelValue(strings.Repeat("a", 100))), 63)
	require.Empty(t, labelValue("--"))
}
