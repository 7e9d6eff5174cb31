package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
)

func agentPod(name, node, ip string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ms2m-system", Labels: map[string]string{"app.kubernetes.io/name": "ms2m-agent"}},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Phase: phase, PodIP: ip},
	}
}

func TestPoolFindsTheAgentOfANode(t *testing.T) {
	kube := fake.NewClientset(
		agentPod("a", "one", "10.0.0.1", corev1.PodRunning),
		agentPod("b", "two", "10.0.0.2", corev1.PodFailed),
		agentPod("c", "two", "fd00::3", corev1.PodRunning),
		agentPod("d", "three", "", corev1.PodPending),
	)
	pool := client.NewPool(kube.CoreV1().Pods("ms2m-system"), nil)
	one, err := pool.Agent(t.Context(), "one")
	require.NoError(t, err)
	require.Equal(t, "10.0.0.1:9443", one.Address)
	two, err := pool.Agent(t.Context(), "two")
	require.NoError(t, err)
	require.Equal(t, "[fd00::3]:9443", two.Address)
	again, err := pool.Agent(t.Context(), "one")
	require.NoError(t, err)
	require.Same(t, one, again, "connections are kept")
	_, err = pool.Agent(t.Context(), "three")
	require.ErrorContains(t, err, "no pod of the DaemonSet")
}
