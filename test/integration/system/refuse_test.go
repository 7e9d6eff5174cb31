//go:build integration

package system

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// TestRefused: what cannot be migrated is refused with its reason in status and event, and nothing is touched.
func TestRefused(t *testing.T) {
	l := start(t, load(t, 50))
	before, err := l.AwaitActive(t.Context())
	require.NoError(t, err)
	plain := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: before.Namespace, Name: "plain"},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "pause", Image: "ms2m.dev/pause:1",
				SecurityContext: before.Spec.Containers[0].SecurityContext,
			}},
			SecurityContext: before.Spec.SecurityContext,
		},
	}
	require.NoError(t, installed.API.Create(t.Context(), plain))

	for _, c := range []struct {
		reason string
		change func(*v1alpha1.MigrationSpec)
	}{
		{"PodNotFound", func(s *v1alpha1.MigrationSpec) { s.Pod = v1alpha1.PodReference{Name: "nobody"} }},
		{"NotMigratable", func(s *v1alpha1.MigrationSpec) { s.Pod = v1alpha1.PodReference{Name: plain.Name} }},
		{"AlreadyOnNode", func(s *v1alpha1.MigrationSpec) { s.TargetNode = before.Spec.NodeName }},
		{"NodeNotFound", func(s *v1alpha1.MigrationSpec) { s.TargetNode = "nowhere" }},
		{"PodReplaced", func(s *v1alpha1.MigrationSpec) { s.Pod.UID = "00000000-0000-0000-0000-000000000000" }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			m, err := l.Migrate(t.Context(), c.change)
			require.NoError(t, err)
			require.Equal(t, v1alpha1.PhaseFailed, m.Status.Phase)
			require.Equal(t, c.reason, meta.FindStatusCondition(m.Status.Conditions, "Accepted").Reason)
			requireEvent(t, before.Namespace, c.reason, m.Status.Message)
		})
	}
	after := &corev1.Pod{}
	require.NoError(t, installed.API.Get(t.Context(), client.ObjectKeyFromObject(before), after))
	for _, pod := range []*corev1.Pod{before, after} { // the kubelet may write its status at any time
		pod.TypeMeta, pod.Status, pod.ResourceVersion, pod.ManagedFields = metav1.TypeMeta{}, corev1.PodStatus{}, "", nil
	}
	require.Equal(t, before, after, "the pod was touched")
}

// TestBadSpec: the API server refuses what the schema forbids, and any change of a migration that was asked for.
func TestBadSpec(t *testing.T) {
	m := &v1alpha1.Migration{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "bad-"}}
	m.Spec = v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "p"}, Strategy: "Teleport"}
	require.ErrorContains(t, installed.API.Create(t.Context(), m), "Teleport")
	m.Spec = v1alpha1.MigrationSpec{}
	require.ErrorContains(t, installed.API.Create(t.Context(), m), "spec.pod.name")

	m.Spec = v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "p"}, MaxPause: metav1.Duration{Duration: -time.Second}}
	require.ErrorContains(t, installed.API.Create(t.Context(), m), "spec.maxPause")

	m.Spec = v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "p"}}
	require.NoError(t, installed.API.Create(t.Context(), m))
	require.Equal(t, time.Second, m.Spec.MaxPause.Duration, "what is left out has its default")
	require.Equal(t, 10*time.Second, m.Spec.Cutoff.MaxReplay.Duration)
	require.Equal(t, 2*time.Minute, m.Spec.Cutoff.Deadline.Duration)
	t.Cleanup(func() { _ = installed.API.Delete(t.Context(), m) })
	base := m.DeepCopy()
	m.Spec.Pod.Name = "q"
	require.ErrorContains(t, installed.API.Patch(t.Context(), m, client.MergeFrom(base)), "cannot be changed")
}
