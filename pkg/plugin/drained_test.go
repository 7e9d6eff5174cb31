package plugin

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

const drainedNodes = `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
profiles:
- name: drain
  pluginConfig:
  - name: CycleCounter
  - name: MigrateFromDrainedNodes
  plugins:
    deschedule: {enabled: [MigrateFromDrainedNodes, CycleCounter]}
`

func (w *world) cordon(node string) {
	w.t.Helper()
	n := testNode(node)
	n.Spec.Unschedulable = true
	w.updateNode(n)
}

func (w *world) updateNode(n *corev1.Node) {
	w.t.Helper()
	_, err := w.clientset.CoreV1().Nodes().Update(w.t.Context(), n, metav1.UpdateOptions{})
	require.NoError(w.t, err)
}

// notes are the events so far that are no requests for migrations.
func (w *world) notes() (notes []string) {
	for {
		select {
		case e := <-w.events.Events:
			if e[:len("Normal")] != "Normal" {
				notes = append(notes, e)
			}
		default:
			return notes
		}
	}
}

func stuckPods(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.(prometheus.Gatherer).Gather()
	require.NoError(t, err)
	stuck := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "ms2m_drained_node_stuck_pods" {
			continue
		}
		for _, m := range f.GetMetric() {
			stuck[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return stuck
}

func TestDrainedNodesAreEmptiedOfWhatCanMove(t *testing.T) {
	w := newWorld(
		t,
		testPod("moves", "n1", prepared),
		testPod("elsewhere", "n2", prepared),
		testPod("stranger", "n1", nil),
		testPod("early", "n1", func(p *corev1.Pod) { prepared(p); p.Spec.RuntimeClassName = nil }),
		testPod("pending", "n1", func(p *corev1.Pod) { prepared(p); p.Status.Phase = corev1.PodPending }),
		testPod("bare", "n1", func(p *corev1.Pod) { prepared(p); p.OwnerReferences = nil }),
		testPod("daemon", "n1", func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }),
		testPod("content", "n1", func(p *corev1.Pod) {
			prepared(p)
			p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}),
	)
	w.run(drainedNodes, nil)
	w.awaitCycles(3)
	require.Empty(t, w.list(), "no node is drained")
	require.Empty(t, stuckPods(t))

	w.cordon("n1")
	w.awaitMigrations(1)
	w.awaitCycles(20)
	require.Len(t, w.list(), 1)
	require.Equal(t, "moves", w.list()[0].Spec.Pod.Name)
	require.Equal(t, "MigrateFromDrainedNodes", w.list()[0].Spec.Reason)
	require.Zero(t, w.evicted.Load(), "the plugin ends no pod")
	require.Equal(t, map[string]float64{"n1 NotMigratable": 1, "n1 NotPrepared": 1, "n1 PodNotRunning": 1, "n1 Protected": 1}, stuckPods(t))
	require.ElementsMatch(t, []string{
		"Warning NotMigrated node n1 is drained and the pod stays on it (NotMigratable): it has no label ms2m.dev/migratable=true, so a drain ends it",
		"Warning NotMigrated node n1 is drained and the pod stays on it (NotPrepared): it was created before it had the label ms2m.dev/migratable=true or while the webhook was away, so it has no gate: create it again",
		"Warning NotMigrated node n1 is drained and the pod stays on it (PodNotRunning): it is Pending, not Running: there is no state to migrate",
		"Warning NotMigrated node n1 is drained and the pod stays on it (Protected): the policy's DefaultEvictor protects it: it has no owner and no annotation descheduler.alpha.kubernetes.io/evict: \"true\"",
		"Warning NotMigrated pod default/stranger stays on this drained node (NotMigratable): it has no label ms2m.dev/migratable=true, so a drain ends it",
		"Warning NotMigrated pod default/early stays on this drained node (NotPrepared): it was created before it had the label ms2m.dev/migratable=true or while the webhook was away, so it has no gate: create it again",
		"Warning NotMigrated pod default/pending stays on this drained node (PodNotRunning): it is Pending, not Running: there is no state to migrate",
		"Warning NotMigrated pod default/bare stays on this drained node (Protected): the policy's DefaultEvictor protects it: it has no owner and no annotation descheduler.alpha.kubernetes.io/evict: \"true\"",
	}, w.notes(), "each pod is told of once, on itself and on its node")

	w.updateNode(testNode("n1"))
	require.Eventually(t, func() bool { return len(stuckPods(t)) == 0 }, 30*time.Second, 5*time.Millisecond)
}

func TestTaintsOfDrainedNodes(t *testing.T) {
	w := newWorld(t, testPod("p1", "n1", prepared), testPod("p2", "n2", prepared))
	w.run(drainedNodes, nil)
	n1, n2 := testNode("n1"), testNode("n2")
	n1.Spec.Taints = []corev1.Taint{{Key: "ToBeDeletedByClusterAutoscaler", Value: "1767355200", Effect: corev1.TaintEffectNoSchedule}}
	n2.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "shop", Effect: corev1.TaintEffectNoSchedule}}
	w.updateNode(n1)
	w.updateNode(n2)
	w.awaitMigrations(1)
	w.awaitCycles(20)
	require.Len(t, w.list(), 1)
	require.Equal(t, "p1", w.list()[0].Spec.Pod.Name)
}

func TestDrainedNodesRespectLimits(t *testing.T) {
	w := newWorld(t, eightPods(prepared)...)
	w.cordon("n1")
	w.run("maxNoOfPodsToEvictPerNode: 2\n"+drainedNodes, nil)
	w.awaitMigrations(2)
	w.awaitCycles(20)
	require.Len(t, w.list(), 2)
	require.Empty(t, w.notes(), "a pod whose turn comes later is not stuck")
}

func TestFailedMigrationFromDrainedNodeIsTold(t *testing.T) {
	w := newWorld(t, testPod("p", "n1", prepared))
	w.cordon("n1")
	w.run(drainedNodes, nil)
	w.awaitMigrations(1)
	w.end(w.list()[0], v1alpha1.PhaseFailed, "volume data of pod p would not move")
	require.Eventually(t, func() bool { return stuckPods(t)["n1 MigrationFailed"] == 1 }, 30*time.Second, 5*time.Millisecond)
	var told []string
	require.Eventually(t, func() bool { told = append(told, w.notes()...); return len(told) >= 3 }, 30*time.Second, 5*time.Millisecond)
	require.Contains(t, told, "Warning NotMigrated node n1 is drained and the pod stays on it (MigrationFailed): migration p-0000p-ui ended as Failed "+
		"and is not tried again before the policy's cooldown is over: volume data of pod p would not move")
	require.Len(t, w.list(), 1)
}

func TestChosenPodIsNeverEvicted(t *testing.T) {
	w := newWorld(t, testPod("p", "n1", func(p *corev1.Pod) { prepared(p); p.Labels = nil }))
	client := &migratingClient{Interface: w.clientset}
	ctx := withCandidate(t.Context(), candidate{uid: "0000p-uid", strategy: "x"})
	err := client.PolicyV1().Evictions("default").Evict(ctx, evictionOf("p"))
	require.ErrorContains(t, err, "cannot be any more")
	require.Zero(t, w.evicted.Load())
	require.NoError(t, client.PolicyV1().Evictions("default").Evict(t.Context(), evictionOf("p")))
	require.EqualValues(t, 1, w.evicted.Load())
}

func evictionOf(pod string) *policyv1.Eviction {
	return &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: pod}}
}
