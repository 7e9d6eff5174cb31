package plugin

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/descheduler/pkg/framework/pluginregistry"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/migratefromdrainednodes"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/migrateunderload"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

// world is a cluster of two nodes on fakes with a descheduler that cycles in it.
type world struct {
	t          *testing.T
	clientset  *fake.Clientset
	metrics    metricsclient.Interface
	migrations client.Client
	index      *moves.Index
	events     *events.FakeRecorder
	cycles     *atomic.Int64
	evicted    *atomic.Int64
}

// cycleCounter is a plugin of a later registration: it counts cycles.
type cycleCounter struct{ cycles *atomic.Int64 }

const cycleCounterName = "CycleCounter"

func (cycleCounter) Name() string { return cycleCounterName }
func (c cycleCounter) Deschedule(context.Context, []*corev1.Node) *frameworktypes.Status {
	c.cycles.Add(1)
	return nil
}

func newWorld(t *testing.T, pods ...*corev1.Pod) *world {
	t.Helper()
	objects := []runtime.Object{testNode("n1"), testNode("n2")}
	for _, p := range pods {
		objects = append(objects, p)
	}
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	w := &world{
		t:          t,
		clientset:  fake.NewClientset(objects...),
		migrations: ctrlfake.NewClientBuilder().WithScheme(scheme).Build(),
		index:      moves.NewIndex(),
		events:     events.NewFakeRecorder(1000),
		cycles:     &atomic.Int64{},
		evicted:    &atomic.Int64{},
	}
	w.clientset.Resources = []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods/eviction", Kind: "Eviction"}}},
		{GroupVersion: "policy/v1"},
	}
	w.clientset.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		w.evicted.Add(1)
		eviction := a.(clienttesting.CreateAction).GetObject().(*policyv1.Eviction)
		return true, nil, w.clientset.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), eviction.Namespace, eviction.Name)
	})
	drained, load := migratefromdrainednodes.Register(w.index, w.events), migrateunderload.Register(w.index, w.events)
	Register(w.index, drained, load, func(r pluginregistry.Registry) {
		build := func(context.Context, runtime.Object, frameworktypes.Handle) (frameworktypes.Plugin, error) {
			return cycleCounter{w.cycles}, nil
		}
		pluginregistry.Register(cycleCounterName, build, cycleCounter{}, &runtime.Unknown{}, nil, nil, r)
	})
	return w
}

// run starts the descheduler until the test ends.
func (w *world) run(text string, change func(*v1alpha1.MigrationPolicy)) {
	w.t.Helper()
	p := &policy.Policy{Descheduler: text, Migration: policy.DefaultMigration()}
	p.Migration.Interval = metav1.Duration{Duration: 10 * time.Millisecond}
	if change != nil {
		change(&p.Migration)
	}
	d := &Descheduler{
		Client:    w.clientset,
		Metrics:   w.metrics,
		Requester: moves.Requester{Client: w.migrations, Index: w.index, Events: w.events, Clock: clock.RealClock{}},
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, p) }()
	w.t.Cleanup(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
}

// awaitCycles waits until n more cycles are over.
func (w *world) awaitCycles(n int64) {
	w.t.Helper()
	want := w.cycles.Load() + n + 1
	require.Eventually(w.t, func() bool { return w.cycles.Load() >= want }, 30*time.Second, 5*time.Millisecond)
}

func (w *world) awaitMigrations(n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return len(w.list()) >= n }, 30*time.Second, 5*time.Millisecond)
}

func (w *world) list() []v1alpha1.Migration {
	w.t.Helper()
	var all v1alpha1.MigrationList
	require.NoError(w.t, w.migrations.List(w.t.Context(), &all))
	return all.Items
}

// update changes the status of m as the engine would, and lets the index see it.
func (w *world) update(m v1alpha1.Migration, change func(*v1alpha1.MigrationStatus)) {
	w.t.Helper()
	change(&m.Status)
	require.NoError(w.t, w.migrations.Update(w.t.Context(), &m))
	w.index.Set(&m)
}

// end lets m end without success, and takes the marks off its pod as their controller does.
func (w *world) end(m v1alpha1.Migration, phase v1alpha1.Phase, message string) {
	w.t.Helper()
	w.update(m, func(s *v1alpha1.MigrationStatus) {
		s.Phase, s.Message, s.CompletionTime = phase, message, &metav1.MicroTime{Time: time.Now()}
	})
	unmark, err := marksPatch(m.Spec.Pod.UID, nil, nil)
	require.NoError(w.t, err)
	_, err = w.clientset.CoreV1().Pods(m.Namespace).Patch(w.t.Context(), m.Spec.Pod.Name, types.MergePatchType, unmark, metav1.PatchOptions{})
	require.NoError(w.t, err)
}

func testNode(name string) *corev1.Node {
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Capacity: resources, Allocatable: resources,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

// prepared is a pod as the webhook leaves it.
func prepared(pod *corev1.Pod) {
	pod.Labels = map[string]string{v1alpha1.LabelMigratable: "true"}
	pod.Spec.RuntimeClassName = ptr.To(v1alpha1.RuntimeClass)
}

func testPod(name, node string, change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID("0000" + name + "-uid"),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: "rs-uid"}},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name:      "app",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("400m")}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

// eightPods load n1 with 80 %, three pods above the target of 50 %.
func eightPods(change func(*corev1.Pod)) []*corev1.Pod {
	pods := make([]*corev1.Pod, 8)
	for i := range pods {
		pods[i] = testPod(fmt.Sprintf("p%d", i), "n1", change)
	}
	return pods
}

const surplus = 3

func lowNodeUtilization(limits string) string {
	return `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
` + limits + `
profiles:
- name: default
  pluginConfig:
  - name: CycleCounter
  - name: LowNodeUtilization
    args:
      thresholds: {cpu: 30}
      targetThresholds: {cpu: 50}
  plugins:
    deschedule: {enabled: [CycleCounter]}
    balance: {enabled: [LowNodeUtilization]}
`
}
