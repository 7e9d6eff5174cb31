package plugin

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsfake "k8s.io/metrics/pkg/client/clientset/versioned/fake"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// underLoad relieves nodes above 50 % down to 45 %: with eight pods of 400m on a node of 4 CPUs, four are to go.
func underLoad(more, source string) string {
	return `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
` + more + `
profiles:
- name: load
  pluginConfig:
  - name: CycleCounter
  - name: MigrateUnderLoad
    args:
      thresholds: {cpu: 50}
      ` + source + `
  plugins:
    deschedule: {enabled: [CycleCounter]}
    balance: {enabled: [MigrateUnderLoad]}
`
}

// settle does the moves that were asked for, as the engine and the cluster would.
func (w *world) settle() {
	w.t.Helper()
	pods := w.clientset.CoreV1().Pods("default")
	for _, m := range w.list() {
		if m.Status.Phase.Ended() {
			continue
		}
		source, err := pods.Get(w.t.Context(), m.Spec.Pod.Name, metav1.GetOptions{})
		require.NoError(w.t, err)
		target := testPod(source.Name+"-x", m.Spec.TargetNode, prepared)
		_, err = pods.Create(w.t.Context(), target, metav1.CreateOptions{})
		require.NoError(w.t, err)
		require.NoError(w.t, pods.Delete(w.t.Context(), source.Name, metav1.DeleteOptions{}))
		w.update(m, func(s *v1alpha1.MigrationStatus) {
			s.Phase = v1alpha1.PhaseSucceeded
			s.Target = v1alpha1.Instance{Pod: target.Name, UID: target.UID, Node: target.Spec.NodeName}
		})
	}
}

func TestLoadIsBalancedAndStaysSo(t *testing.T) {
	w := newWorld(t, eightPods(prepared)...)
	w.run(underLoad("", ""), nil)
	w.awaitMigrations(4)
	w.awaitCycles(20)
	require.Len(t, w.list(), 4, "moves under way count as done")
	for _, m := range w.list() {
		require.Equal(t, "n2", m.Spec.TargetNode)
		require.Equal(t, "MigrateUnderLoad", m.Spec.Reason)
	}
	w.settle()
	w.awaitCycles(20)
	require.Len(t, w.list(), 4, "nothing moves back or again")
	require.Zero(t, w.evicted.Load())
	require.Empty(t, w.notes())
}

func TestOnlyWhatCanMoveCounts(t *testing.T) {
	pods := eightPods(nil)
	prepared(pods[0])
	w := newWorld(t, pods...)
	w.run(underLoad("", ""), nil)
	w.awaitCycles(20)
	require.Empty(t, w.list(), "one pod does not help")
	require.Zero(t, w.evicted.Load())
	require.Equal(t, []string{"Warning NotRelieved the node stays above a threshold of the policy: no set of its 1 pods that can be migrated " +
		"would bring it below and finds room on nodes that stay below"}, w.notes())
}

func TestLoadIsBalancedWithinLimits(t *testing.T) {
	w := newWorld(t, eightPods(prepared)...)
	w.run(underLoad("maxNoOfPodsToEvictPerNode: 1", ""), nil)
	const enough = 3 // one by one they end at the threshold, and below it nothing is to be done
	for n := range enough {
		w.awaitMigrations(n + 1)
		w.awaitCycles(5)
		require.Len(t, w.list(), n+1)
		w.settle()
	}
	w.awaitCycles(20)
	require.Len(t, w.list(), enough)
}

// TestMeasuredLoad: what pods request is far below the threshold, and what they use is not.
func TestMeasuredLoad(t *testing.T) {
	metrics := metricsfake.NewSimpleClientset()
	usage := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	nodes, podsGVR := v1beta1.SchemeGroupVersion.WithResource("nodes"), v1beta1.SchemeGroupVersion.WithResource("pods")
	for name, cpu := range map[string]string{"n1": "2400m", "n2": "100m"} {
		require.NoError(t, metrics.Tracker().Create(nodes, &v1beta1.NodeMetrics{ObjectMeta: metav1.ObjectMeta{Name: name}, Usage: usage(cpu, "1Gi")}, ""))
	}
	var pods []*corev1.Pod
	for name, memory := range map[string]string{"small": "100Mi", "large": "900Mi", "medium": "300Mi"} {
		pods = append(pods, testPod(name, "n1", func(p *corev1.Pod) {
			prepared(p)
			p.Spec.Containers[0].Resources.Requests = nil
		}))
		require.NoError(t, metrics.Tracker().Create(podsGVR, &v1beta1.PodMetrics{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Containers: []v1beta1.ContainerMetrics{{Name: "ms2m-gate", Usage: usage("50m", "10Mi")}, {Name: "app", Usage: usage("600m", memory)}},
		}, "default"))
	}
	pods = append(pods, testPod("unmeasured", "n1", prepared))
	w := newWorld(t, pods...)
	w.metrics = metrics
	w.run(underLoad("metricsProviders: [{source: KubernetesMetrics}]", "metricsUtilization: {source: KubernetesMetrics}"), nil)
	w.awaitMigrations(1)
	w.awaitCycles(20)
	chosen := sets.New[string]()
	for _, m := range w.list() {
		chosen.Insert(m.Spec.Pod.Name)
	}
	require.Equal(t, sets.New("small"), chosen, "the cheapest that suffices")
	w.end(w.list()[0], v1alpha1.PhaseRolledBack, "")
	w.awaitMigrations(2)
	w.awaitCycles(20)
	require.Len(t, w.list(), 2)
	for _, m := range w.list() {
		chosen.Insert(m.Spec.Pod.Name)
	}
	require.Equal(t, sets.New("small", "medium"), chosen, "a pod that rests is replaced by the next")
}
