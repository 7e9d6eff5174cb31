package placement

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// scheduler with its informers synced; objects are what its plugins look up.
func scheduler(t *testing.T, objects ...runtime.Object) *Scheduler {
	t.Helper()
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	s, err := New(ctx, client, factory)
	require.NoError(t, err)
	factory.Start(ctx.Done())
	for informer, synced := range factory.WaitForCacheSync(ctx.Done()) {
		require.True(t, synced, informer)
	}
	return s
}

func node(name string, changes ...func(*corev1.Node)) *corev1.Node {
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: "zone-" + name[:1]}},
		Status:     corev1.NodeStatus{Capacity: resources, Allocatable: resources},
	}
	for _, change := range changes {
		change(n)
	}
	return n
}

func pod(name, on string, changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "cart"}},
		Spec:       corev1.PodSpec{NodeName: on, Containers: []corev1.Container{{Name: "app"}}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func requests(cpu, memory string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}
	}
}

func antiAffinity(topology string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: topology, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}},
		}}}}
	}
}

func spread(topology string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: topology, WhenUnsatisfiable: corev1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cart"}},
		}}
	}
}

func hostPort(p *corev1.Pod) {
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, Protocol: corev1.ProtocolTCP}}
}

func claims(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
	}
}

func tainted(n *corev1.Node) {
	n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "batch", Effect: corev1.TaintEffectNoSchedule}}
}

// volume that can be reached from one node only, with its claim.
func localVolume(on string) []runtime.Object {
	return []runtime.Object{
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "disk"},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				ClaimRef:    &corev1.ObjectReference{Namespace: "shop", Name: "data", UID: "data"},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{on}}},
				}}}},
			},
			Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
		},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data", UID: "data", Annotations: map[string]string{"pv.kubernetes.io/bind-completed": "yes"}},
			Spec: corev1.PersistentVolumeClaimSpec{
				VolumeName: "disk", StorageClassName: ptr.To(""), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
			Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
		},
		&storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: on}},
	}
}

func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		pod     *corev1.Pod
		nodes   []*corev1.Node
		pods    []*corev1.Pod
		objects []runtime.Object
		node    string
		against map[string]string
	}{
		"the emptier node": {
			pod:   pod("p", "a1", requests("500m", "1Gi")),
			nodes: []*corev1.Node{node("a1"), node("a2"), node("a3")},
			pods:  []*corev1.Pod{pod("q", "a2", requests("2", "4Gi"))},
			node:  "a3", against: map[string]string{"a1": "the pod is on it already", "a2": "scores "},
		},
		"resources": {
			pod:     pod("p", "a1", requests("3", "1Gi")),
			nodes:   []*corev1.Node{node("a1"), node("a2"), node("a3")},
			pods:    []*corev1.Pod{pod("q", "a2", requests("2", "1Gi")), pod("r", "a3", requests("1100m", "7500Mi"))},
			against: map[string]string{"a1": "the pod is on it already", "a2": "Insufficient cpu", "a3": "Insufficient cpu, Insufficient memory"},
		},
		"taints": {
			pod: pod("p", "a1"), nodes: []*corev1.Node{node("a1"), node("a2", tainted), node("a3")},
			node: "a3", against: map[string]string{"a2": "node(s) had untolerated taint(s)"},
		},
		"cordoned": {
			pod: pod("p", "a1"), nodes: []*corev1.Node{node("a1"), node("a2", func(n *corev1.Node) { n.Spec.Unschedulable = true }), node("a3")},
			node: "a3", against: map[string]string{"a2": "node(s) were unschedulable"},
		},
		"node affinity": {
			pod:   pod("p", "a1", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: "zone-b"} }),
			nodes: []*corev1.Node{node("a1"), node("a2"), node("b1")},
			node:  "b1", against: map[string]string{"a2": "node(s) didn't match Pod's node affinity/selector"},
		},
		"the one node that is named": {
			pod: pod("p", "a1", func(p *corev1.Pod) {
				p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"a3"}}}}},
				}}}
			}),
			nodes: []*corev1.Node{node("a1"), node("a2"), node("a3")},
			node:  "a3", against: map[string]string{"a2": "ruled out by NodeAffinity"},
		},
		"the source is not in its own way": {
			pod: pod("p", "a1", antiAffinity(corev1.LabelTopologyZone)), nodes: []*corev1.Node{node("a1"), node("a2")},
			node: "a2",
		},
		"anti-affinity to others": {
			pod:   pod("p", "a1", antiAffinity(corev1.LabelHostname)),
			nodes: []*corev1.Node{node("a1"), node("a2"), node("a3")}, pods: []*corev1.Pod{pod("q", "a2")},
			node: "a3", against: map[string]string{"a2": "node(s) didn't match pod anti-affinity rules"},
		},
		"anti-affinity of others": {
			pod:   pod("p", "a1"),
			nodes: []*corev1.Node{node("a1"), node("a2"), node("a3")}, pods: []*corev1.Pod{pod("q", "a2", antiAffinity(corev1.LabelHostname))},
			node: "a3", against: map[string]string{"a2": "node(s) didn't satisfy existing pods anti-affinity rules"},
		},
		"spread": {
			pod:   pod("p", "b1", spread(corev1.LabelTopologyZone)),
			nodes: []*corev1.Node{node("a1"), node("b1"), node("b2")}, pods: []*corev1.Pod{pod("q", "a1")},
			node: "b2", against: map[string]string{"a1": "node(s) didn't match pod topology spread constraints"},
		},
		"host ports": {
			pod:   pod("p", "a1", hostPort),
			nodes: []*corev1.Node{node("a1"), node("a2"), node("a3")}, pods: []*corev1.Pod{pod("q", "a2", hostPort)},
			node: "a3", against: map[string]string{"a2": "node(s) didn't have free ports for the requested pod ports"},
		},
		"a volume that cannot move": {
			pod: pod("p", "a1", claims("data")), nodes: []*corev1.Node{node("a1"), node("a2"), node("a3")}, objects: localVolume("a2"),
			node: "a2", against: map[string]string{"a3": "node(s) didn't match PersistentVolume's node affinity"},
		},
		"a claim that there is not": {
			pod: pod("p", "a1", claims("nothing")), nodes: []*corev1.Node{node("a1"), node("a2")},
			against: map[string]string{"a1": "the pod is on it already", "a2": `persistentvolumeclaim "nothing" not found`},
		},
		"a full node": {
			pod: pod("p", "a1"), nodes: []*corev1.Node{node("a1"), node("a2", func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("1") }), node("a3")},
			pods: []*corev1.Pod{pod("q", "a2")},
			node: "a3", against: map[string]string{"a2": "Too many pods"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := scheduler(t, test.objects...)
			got, err := s.Choose(t.Context(), Question{Pod: test.pod, Source: test.pod, Nodes: test.nodes, Pods: append(test.pods, test.pod)})
			require.NoError(t, err)
			require.Equal(t, test.node, got.Node, got.String())
			for node, reason := range test.against {
				require.Contains(t, got.Against[node], reason, node)
			}
			require.Len(t, got.Against, len(test.nodes)-map[bool]int{true: 0, false: 1}[test.node == ""], "a reason against each other node")
		})
	}
}

func TestQuestionsDoNotMix(t *testing.T) {
	s := scheduler(t)
	for i := range 6 {
		full, empty := fmt.Sprintf("a%d", 1+i%2), fmt.Sprintf("a%d", 2-i%2)
		q := Question{Pod: pod("p", ""), Nodes: []*corev1.Node{node("a1"), node("a2")}, Pods: []*corev1.Pod{pod("q", full, antiAffinity(corev1.LabelHostname))}}
		got, err := s.Choose(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, empty, got.Node, got.String())
	}
}

func TestAnswerForPeople(t *testing.T) {
	require.Equal(t, "node a2 is the best; a1: the pod is on it already, a3: Insufficient cpu",
		Answer{Node: "a2", Against: map[string]string{"a3": "Insufficient cpu", "a1": "the pod is on it already"}}.String())
	require.Equal(t, "no node can take the pod; a1: Insufficient cpu", Answer{Against: map[string]string{"a1": "Insufficient cpu"}}.String())
}

func TestAfter(t *testing.T) {
	migration := func(source types.UID, change func(*v1alpha1.Migration)) *v1alpha1.Migration {
		m := &v1alpha1.Migration{Spec: v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: string(source), UID: source}}}
		change(m)
		return m
	}
	finished := pod("finished", "a1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	pods := []*corev1.Pod{pod("stays", "a1"), pod("early", "a1"), pod("named", "a1"), pod("late", "a1"), pod("late-x", "a2"), pod("back", "a1"), pod("waits", ""), finished}
	after := After(pods, []*v1alpha1.Migration{
		migration("early", func(*v1alpha1.Migration) {}),
		migration("named", func(m *v1alpha1.Migration) { m.Spec.TargetNode = "a2" }),
		migration("late", func(m *v1alpha1.Migration) { m.Status.Target = v1alpha1.Instance{UID: "late-x", Node: "a2"} }),
		migration("back", func(m *v1alpha1.Migration) { m.Status.Phase = v1alpha1.PhaseRolledBack }),
		migration("gone", func(m *v1alpha1.Migration) { m.Spec.TargetNode = "a2" }),
	})
	var on []string
	for _, p := range after {
		on = append(on, p.Name+" "+p.Spec.NodeName)
	}
	require.ElementsMatch(t, []string{"stays a1", "named a2", "late-x a2", "back a1"}, on)
	require.Equal(t, "a1", pods[2].Spec.NodeName, "what the caller has stays as it is")
}
