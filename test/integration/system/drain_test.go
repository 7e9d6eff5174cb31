//go:build integration

package system

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// TestDrainedNode: a cordoned node is emptied of what can be migrated, and what cannot is told.
func TestDrainedNode(t *testing.T) {
	l := start(t, load(t, 50))
	pod, err := l.AwaitActive(t.Context())
	require.NoError(t, err)
	stranger := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: "stranger"},
		Spec: corev1.PodSpec{
			NodeName:        pod.Spec.NodeName,
			Containers:      []corev1.Container{{Name: "pause", Image: "ms2m.dev/pause:1", SecurityContext: pod.Spec.Containers[0].SecurityContext}},
			SecurityContext: pod.Spec.SecurityContext,
		},
	}
	require.NoError(t, installed.API.Create(t.Context(), stranger))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, installed.StopRebalancing(ctx))
		require.NoError(t, installed.Cordon(ctx, pod.Spec.NodeName, false))
	})
	require.NoError(t, installed.EmptyDrainedNodes(t.Context(), pod.Namespace))
	require.NoError(t, installed.Cordon(t.Context(), pod.Spec.NodeName, true))

	m, err := l.AwaitDescheduler(t.Context(), 3*time.Minute)
	require.NoError(t, err)
	require.Equal(t, pod.UID, m.Spec.Pod.UID)
	require.Equal(t, "MigrateFromDrainedNodes", m.Spec.Reason)
	m, err = l.AwaitEnd(t.Context(), m.Name)
	require.NoError(t, err)
	require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
	require.NotEqual(t, pod.Spec.NodeName, m.Status.Target.Node)
	requireEventOf(t, corev1.EventTypeNormal, pod.Namespace, "TargetChosen", pod.Spec.NodeName+": the pod is on it already")
	requireEvent(t, pod.Namespace, "NotMigrated", "it has no label ms2m.dev/migratable=true")
}
