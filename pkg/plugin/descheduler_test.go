package plugin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/descheduler/pkg/descheduler/evictions"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func TestSurplusIsMigratedExactly(t *testing.T) {
	w := newWorld(t, eightPods(prepared)...)
	w.run(lowNodeUtilization(""), nil)
	w.awaitMigrations(surplus)
	w.awaitCycles(20)
	require.Len(t, w.list(), surplus, "the targets are not known yet")

	for _, m := range w.list() {
		w.update(m, func(s *v1alpha1.MigrationStatus) {
			s.Phase = v1alpha1.PhaseTransferring
			s.Target = v1alpha1.Instance{Pod: m.Spec.Pod.Name + "-x", UID: m.Spec.Pod.UID + "x", Node: "n2"}
		})
	}
	w.awaitCycles(20)
	require.Len(t, w.list(), surplus, "the targets are known, their pods are not there yet")

	pods := w.clientset.CoreV1().Pods("default")
	for _, m := range w.list() {
		target := testPod(m.Status.Target.Pod, "n2", func(p *corev1.Pod) { prepared(p); p.UID = m.Status.Target.UID })
		_, err := pods.Create(t.Context(), target, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	w.awaitCycles(20)
	require.Len(t, w.list(), surplus, "the target pods are there beside the sources")

	for _, m := range w.list() {
		w.update(m, func(s *v1alpha1.MigrationStatus) { s.Phase = v1alpha1.PhaseSucceeded })
	}
	w.awaitCycles(20)
	require.Len(t, w.list(), surplus, "the sources are not deleted yet")

	for _, m := range w.list() {
		require.NoError(t, pods.Delete(t.Context(), m.Spec.Pod.Name, metav1.DeleteOptions{}))
	}
	w.awaitCycles(20)
	require.Len(t, w.list(), surplus, "the moves are done")
	require.Zero(t, w.evicted.Load())
}

func TestMigrationsCarryPolicyAndReason(t *testing.T) {
	w := newWorld(t, eightPods(prepared)...)
	w.run(lowNodeUtilization("maxNoOfPodsToEvictTotal: 1"), func(p *v1alpha1.MigrationPolicy) {
		p.Strategy = v1alpha1.StrategyShadow
		p.Cutoff = v1alpha1.Cutoff{MaxReplay: metav1.Duration{Duration: 3 * time.Second}, Deadline: metav1.Duration{Duration: time.Minute}}
		p.MaxPause = metav1.Duration{Duration: 250 * time.Millisecond}
	})
	w.awaitMigrations(1)
	m := w.list()[0]
	pod, err := w.clientset.CoreV1().Pods("default").Get(t.Context(), m.Spec.Pod.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, v1alpha1.MigrationSpec{
		Pod:      v1alpha1.PodReference{Name: pod.Name, UID: pod.UID},
		Strategy: v1alpha1.StrategyShadow,
		Cutoff:   v1alpha1.Cutoff{MaxReplay: metav1.Duration{Duration: 3 * time.Second}, Deadline: metav1.Duration{Duration: time.Minute}},
		MaxPause: metav1.Duration{Duration: 250 * time.Millisecond},
		Reason:   "LowNodeUtilization",
	}, m.Spec)
	require.Contains(t, <-w.events.Events, "Normal MigrationRequested migration "+m.Name+" was asked for by LowNodeUtilization")
}

func TestLimitsCountMovesInFlight(t *testing.T) {
	for name, limit := range map[string]string{
		"total":     "maxNoOfPodsToEvictTotal: 2",
		"node":      "maxNoOfPodsToEvictPerNode: 2",
		"namespace": "maxNoOfPodsToEvictPerNamespace: 2",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, eightPods(prepared)...)
			w.run(lowNodeUtilization(limit), nil)
			w.awaitMigrations(2)
			w.awaitCycles(20)
			require.Len(t, w.list(), 2)
		})
	}
}

func TestLimitsCountMovesOfAnEarlierRun(t *testing.T) {
	pods := eightPods(prepared)
	for _, p := range pods[:2] {
		p.Annotations = map[string]string{evictions.EvictionRequestAnnotationKey: "", evictions.EvictionInProgressAnnotationKey: "m"}
	}
	w := newWorld(t, pods...)
	w.run(lowNodeUtilization("maxNoOfPodsToEvictTotal: 2"), nil)
	w.awaitCycles(20)
	require.Empty(t, w.list())
}

func TestDryRunTouchesNothing(t *testing.T) {
	pods := append(eightPods(prepared), testPod("plain", "n1", nil))
	w := newWorld(t, pods...)
	w.run(lowNodeUtilization(""), func(p *v1alpha1.MigrationPolicy) { p.DryRun = true })
	w.awaitCycles(3)
	require.Empty(t, w.list())
	for _, action := range w.clientset.Actions() {
		require.Contains(t, []string{"get", "list", "watch"}, action.GetVerb(), "%v", action)
	}
}

func TestOthersAreEvicted(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"not labelled": nil,
		"not prepared": func(p *corev1.Pod) { prepared(p); p.Spec.RuntimeClassName = nil },
		"not running":  func(p *corev1.Pod) { prepared(p); p.Status.Phase = corev1.PodPending },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, eightPods(change)...)
			w.run(lowNodeUtilization(""), nil)
			// Upstream's own evictions are more than the surplus when a cycle does not see the deletions of the one before.
			require.Eventually(t, func() bool { return w.evicted.Load() >= surplus }, 30*time.Second, 5*time.Millisecond)
			w.awaitCycles(5)
			require.Empty(t, w.list())
		})
	}
}

func TestFailedMigrationIsNotTriedAgainAtOnce(t *testing.T) {
	pods := eightPods(nil)
	prepared(pods[0])
	for _, p := range pods[1:] {
		p.OwnerReferences = nil // bare pods are protected, so p0 is the only candidate
	}
	w := newWorld(t, pods...)
	w.run(lowNodeUtilization(""), nil)
	w.awaitMigrations(1)
	w.end(w.list()[0], v1alpha1.PhaseRolledBack, "")
	w.awaitCycles(20)
	require.Len(t, w.list(), 1)
	require.Contains(t, <-w.events.Events, "MigrationRequested")
	require.Contains(t, <-w.events.Events, "Warning MigrationCooldown pod default/p0 is in cooldown until ")
}
