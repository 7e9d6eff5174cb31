//go:build integration

package fcc

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func TestNodesAreLabelled(t *testing.T) {
	for _, name := range world.nodes {
		node, err := world.kube.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		require.Equal(t, "true", node.Labels[v1alpha1.LabelNodeReady])
		require.True(t, strings.HasPrefix(node.Labels[v1alpha1.LabelNodeRuntime], "containerd-"))
		for _, label := range []string{v1alpha1.LabelNodeCRIU, v1alpha1.LabelNodeKernel, v1alpha1.LabelNodeCPU} {
			require.NotEmpty(t, node.Labels[label], label)
		}
	}
}

// What an agent's token is good for, should it get into wrong hands: nothing but its own node and the pods there.
func TestAgentWritesOnlyToItsNode(t *testing.T) {
	pods, err := world.kube.CoreV1().Pods(system).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=ms2m-agent", FieldSelector: "spec.nodeName=" + world.nodes[0]})
	require.NoError(t, err)
	token, err := world.Kubectl(t.Context(), "-n", system, "create", "token", "ms2m-agent", "--bound-object-kind=Pod", "--bound-object-name="+pods.Items[0].Name)
	require.NoError(t, err)
	config, err := world.RESTConfig()
	require.NoError(t, err)
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = strings.TrimSpace(token)
	as, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	patch := func(node, metadata string) error {
		_, err := as.CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType, []byte(`{"metadata":`+metadata+`}`), metav1.PatchOptions{})
		return err
	}
	own, other := world.nodes[0], world.nodes[1]
	require.NoError(t, patch(own, `{"labels":{"ms2m.dev/test":"1"}}`))
	require.NoError(t, patch(own, `{"labels":{"ms2m.dev/test":null}}`))
	require.ErrorContains(t, patch(own, `{"labels":{"node-role.kubernetes.io/control-plane":""}}`), "only write labels and annotations named ms2m.dev")
	require.ErrorContains(t, patch(own, `{"labels":{"kubernetes.io/hostname":null}}`), "only write labels and annotations named ms2m.dev")
	require.ErrorContains(t, patch(own, `{"annotations":{"x":"y"}}`), "only write labels and annotations named ms2m.dev")
	require.ErrorContains(t, patch(other, `{"labels":{"ms2m.dev/ready":"false"}}`), "only write to its own node")
	_, err = as.CoreV1().Nodes().Patch(t.Context(), own, types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
	require.ErrorContains(t, err, "only write labels")

	pod := running(t, start(t, other, false))
	condition := []byte(`{"status":{"conditions":[{"type":"ms2m.dev/Active","status":"True"}]}}`)
	_, err = as.CoreV1().Pods(namespace).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, condition, metav1.PatchOptions{}, "status")
	require.ErrorContains(t, err, "only write to its own node")
	_, err = as.CoreV1().Secrets(system).Get(t.Context(), "ms2m-agent-tls", metav1.GetOptions{})
	require.ErrorContains(t, err, "forbidden")
}
