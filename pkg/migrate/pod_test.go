package migrate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func TestTargetPod(t *testing.T) {
	m := migration()
	m.Status.Containers = []string{"ledger"}
	src := sourcePod()
	src.Annotations = map[string]string{corev1.PodDeletionCost: "1", "descheduler.alpha.kubernetes.io/eviction-in-progress": ""}
	pod := targetPod(m, src)

	require.Empty(t, pod.OwnerReferences)
	require.Empty(t, pod.Spec.NodeName)
	require.NotContains(t, pod.Labels, "pod-template-hash", "the ReplicaSet would adopt it")
	require.NotContains(t, pod.Annotations, corev1.PodDeletionCost)
	require.NotContains(t, pod.Annotations, "descheduler.alpha.kubernetes.io/eviction-in-progress", "it would count as a move of its own")
	require.Equal(t, "ledger", pod.Labels["app"])
	require.Equal(t, "ledger", pod.Annotations[v1alpha1.AnnotationRestore])
	require.Empty(t, pod.Spec.Volumes, "admission adds its own volume again")
	require.Empty(t, pod.Spec.Containers[0].VolumeMounts)
	require.Equal(t, "node1", src.Spec.NodeName, "the source's object is not changed")
	require.Len(t, src.Spec.Volumes, 1)
	require.Equal(t, []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"node1"}}},
		requiredTerms(pod)[0].MatchFields)
}

// TestTargetOfTarget migrates the target of an earlier migration: nothing of the first remains in the second.
func TestTargetOfTarget(t *testing.T) {
	m := migration()
	first := targetPod(m, sourcePod())
	first.Spec.NodeName = "node2"
	m.UID = "ffffffff-0000-0000-0000-000000000000"
	m.Spec.TargetNode = "node1"
	second := targetPod(m, first)
	require.Equal(t, "ledger-5c9d8f-x7k2p-m0a1b2c3d", first.Name)
	require.Equal(t, "ledger-5c9d8f-x7k2p-mffffffff", second.Name)
	require.Equal(t, []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"node1"}}},
		requiredTerms(second)[0].MatchFields)
}

// TestPlacementKeepsTheUsersTerms: terms are alternatives, so the node is required in each of them.
func TestPlacementKeepsTheUsersTerms(t *testing.T) {
	src := sourcePod()
	term := func(zone string) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}}}
	}
	src.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{term("a"), term("b")},
	}}}
	for _, got := range requiredTerms(targetPod(migration(), src)) {
		require.Len(t, got.MatchExpressions, 1)
		require.Len(t, got.MatchFields, 1)
	}
}

func TestTargetNameFitsAHostname(t *testing.T) {
	name := targetName(migration(), strings.Repeat("long-", 20))
	require.LessOrEqual(t, len(name), 63)
	require.True(t, strings.HasSuffix(name, "-m0a1b2c3d"), name)
}

func requiredTerms(p *corev1.Pod) []corev1.NodeSelectorTerm {
	return p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}
