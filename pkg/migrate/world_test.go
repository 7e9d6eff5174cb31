package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	agent "ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// world is a cluster in which the engine's surroundings behave as they should, until they are told to fail. It notes
// every call, and fails the test at once when two instances are active.
type world struct {
	t       *testing.T
	api     client.Client
	clock   *testclock.FakePassiveClock
	events  *events.FakeRecorder
	gates   map[string]*gate // by pod UID
	tickets map[string]*fcc.Ticket
	calls   []string
	// problems of nodes, by name.
	problems map[string][]string
	// looks at an active target so far.
	looks int
	// checkpointed: an archive lies on the source's node.
	checkpointed bool
	// set makes its pod again when that is gone; nil without a StatefulSet.
	set *appsv1.StatefulSet
	// made counts the pods that the set has made.
	made int
	// fault is asked at every call of an agent or a gate.
	fault func(call string, n int) fault
	// restless: the source's app does not acknowledge what it has.
	restless bool
	// placer of targets, nil for none.
	placer Placer
}

type fault int

const (
	faultNone       fault = iota
	faultUnreached        // the call fails, nothing happened
	faultUnanswered       // the call fails, but it happened
	faultCrash            // the controller dies before the call
	faultCrashAfter       // the controller dies after the call, before it noted the answer
	faultRefusal          // the gate or the agent refuses for good
)

var errUnreached = errors.New("connection refused")

type crash struct{}

// gate behaves as package control says a gate does, for an app that drains at once and replays all that is logged.
type gate struct {
	control.Status
	of      string // the migration whose commands it obeys
	token   string
	expires time.Time
}

const (
	sourceUID = "source-uid"
	hash      = "5c9d8f"
)

func newClock() *testclock.FakePassiveClock {
	return testclock.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
}

func migration() *v1alpha1.Migration {
	return &v1alpha1.Migration{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m", UID: "0a1b2c3d-4e5f-6789-abcd-ef0123456789", Generation: 1, CreationTimestamp: metav1.NewTime(newClock().Now())},
		Spec: v1alpha1.MigrationSpec{
			Pod:      v1alpha1.PodReference{Name: "ledger-" + hash + "-x7k2p", UID: sourceUID},
			Strategy: v1alpha1.StrategyAuto,
			Cutoff:   v1alpha1.Cutoff{MaxReplay: metav1.Duration{Duration: 10 * time.Second}, Deadline: metav1.Duration{Duration: 2 * time.Minute}},
			MaxPause: metav1.Duration{Duration: time.Second},
		},
	}
}

func sourcePod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "ledger-" + hash + "-x7k2p", UID: sourceUID,
			Labels: map[string]string{"app": "ledger", v1alpha1.LabelMigratable: "true", appsv1.DefaultDeploymentUniqueLabelKey: hash},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "ledger-" + hash, UID: "set-uid", Controller: ptr.To(true),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: "node1", RuntimeClassName: ptr.To(v1alpha1.RuntimeClass),
			InitContainers: []corev1.Container{{Name: v1alpha1.GateContainer}},
			Containers:     []corev1.Container{{Name: "ledger", VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access-abcde"}}}},
			Volumes:        []corev1.Volume{{Name: "kube-api-access-abcde", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}},
		},
		Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "ledger", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		},
	}
}

// setPod is the pod with ordinal 1 of a StatefulSet.
func setPod() *corev1.Pod {
	pod := sourcePod()
	pod.Name = "ledger-1"
	pod.Spec.Hostname = "ledger-1"
	pod.Labels = map[string]string{"app": "ledger", v1alpha1.LabelMigratable: "true", appsv1.ControllerRevisionHashLabelKey: "r1"}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "ledger", UID: "set-uid", Controller: ptr.To(true)}}
	return pod
}

// kinds of pods, by the strategy that they need.
var kinds = map[v1alpha1.Strategy]func() *corev1.Pod{
	v1alpha1.StrategyShadow:       sourcePod,
	v1alpha1.StrategyIdentitySwap: setPod,
}

// migrationOf a pod.
func migrationOf(pod *corev1.Pod) *v1alpha1.Migration {
	m := migration()
	m.Spec.Pod.Name = pod.Name
	return m
}

func newWorld(t *testing.T, m *v1alpha1.Migration, pods ...*corev1.Pod) *world {
	scheme := runtime.NewScheme()
	require.NoError(t, corev1.AddToScheme(scheme)) // and little more: the fake client walks the scheme at every update
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	scheme.AddKnownTypes(appsv1.SchemeGroupVersion, &appsv1.StatefulSet{})
	w := &world{
		t: t, clock: newClock(), events: events.NewFakeRecorder(1000),
		gates: map[string]*gate{}, tickets: map[string]*fcc.Ticket{},
		fault: func(string, int) fault { return faultNone },
	}
	objects := []client.Object{m, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node2"}}}
	for _, p := range pods {
		objects = append(objects, p)
		if owner := statefulSetOf(p); owner != nil {
			w.set = &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: owner.Name, UID: owner.UID}}
			w.set.Spec.Replicas = ptr.To[int32](3)
			objects = append(objects, w.set)
		}
		w.gates[string(p.UID)] = &gate{Status: control.Status{Mode: control.ModeOpen, Lambda: 50, Mu: 200, Consumers: 1}}
	}
	w.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Migration{}).
		WithInterceptorFuncs(interceptor.Funcs{Create: w.create, Get: w.get, Patch: w.patch, Delete: w.delete}).Build()
	return w
}

// delete ends a pod's processes at once.
func (w *world) delete(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
	if g := w.gates[string(o.GetUID())]; g != nil {
		g.Mode = control.ModeFenced
	}
	return c.Delete(ctx, o, opts...)
}

// makeAgain is the StatefulSet controller, with the webhook, the scheduler and the kubelet.
func (w *world) makeAgain(ctx context.Context, c client.WithWatch, name string) error {
	w.made++
	pod := setPod()
	pod.UID = types.UID(fmt.Sprintf("made-%d", w.made))
	pod.Status.Phase = corev1.PodPending
	require.Equal(w.t, pod.Name, name)
	if err := Steer(ctx, w.api, pod.Namespace, pod); err != nil {
		return err
	}
	mode := control.ModeOpen
	pod.Spec.NodeName = "node1"
	if pod.Annotations[v1alpha1.AnnotationRestore] != "" {
		mode = control.ModeClosed
		pod.Spec.NodeName = pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
	}
	w.gates[string(pod.UID)] = &gate{Status: control.Status{Mode: mode, SessionConsumers: -1}}
	return c.Create(ctx, pod)
}

// create is the API server, the scheduler and the kubelet of a target pod.
func (w *world) create(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
	if pod, ok := o.(*corev1.Pod); ok {
		require.Empty(w.t, pod.OwnerReferences, "a target that has an owner is counted by it")
		pod.UID = types.UID("uid-of-" + pod.Name)
		pod.Spec.NodeName = "node2"
		pod.Status.Phase = corev1.PodPending
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "ledger", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		w.gates[string(pod.UID)] = &gate{Status: control.Status{Mode: control.ModeClosed, SessionConsumers: -1}}
	}
	return c.Create(ctx, o, opts...)
}

// get shows pods as the agents and the ReplicaSet controller would have left them.
func (w *world) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	pod, ok := o.(*corev1.Pod)
	err := c.Get(ctx, key, o, opts...)
	if ok && apierrors.IsNotFound(err) && w.set != nil && key.Name == setPod().Name {
		if err := w.makeAgain(ctx, c, key.Name); err != nil {
			return err
		}
		err = c.Get(ctx, key, o, opts...)
	}
	if err != nil || !ok {
		return err
	}
	if pod.DeletionTimestamp != nil {
		pod.DeletionGracePeriodSeconds = ptr.To[int64](0) // the kubelet has confirmed
	}
	active := corev1.ConditionFalse
	if g := w.gates[string(pod.UID)]; g != nil && w.active(g) {
		active = corev1.ConditionTrue
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: v1alpha1.ConditionActive, Status: active}, {Type: corev1.PodReady, Status: active}}
	if pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == hash {
		pod.OwnerReferences = sourcePod().OwnerReferences
	}
	if pod.UID != sourceUID && active == corev1.ConditionTrue {
		// The kubelet is slow to report what runs.
		if w.looks++; w.looks > 5 {
			pod.Status.Phase = corev1.PodRunning
		}
	}
	return nil
}

// patch is the ReplicaSet, which deletes the wrong one of two when it gets the target too early.
func (w *world) patch(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	if pod, ok := o.(*corev1.Pod); ok && pod.UID != sourceUID && pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == hash {
		source := &corev1.Pod{}
		require.NoError(w.t, w.api.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: sourcePod().Name}, source))
		require.Equal(w.t, corev1.PodRunning, pod.Status.Phase, "the ReplicaSet would delete the target")
		require.True(w.t, podCondition(pod, corev1.PodReady), "the ReplicaSet would delete the target")
		require.False(w.t, podCondition(source, corev1.PodReady), "the ReplicaSet would delete the target")
		require.Equal(w.t, "-2147483648", source.Annotations[corev1.PodDeletionCost], "the ReplicaSet could delete the target")
	}
	return c.Patch(ctx, o, p, opts...)
}

func (w *world) active(g *gate) bool {
	switch g.Mode {
	case control.ModeClosed, control.ModeReplaying, control.ModeReplayed, control.ModeFenced, control.ModeHandedOver:
		return false
	default:
		return true
	}
}

// call notes a call, applies the effect unless a fault prevents it, and checks the invariant.
func (w *world) call(name string, effect func() error) error {
	f := w.fault(name, len(w.calls))
	w.calls = append(w.calls, name)
	switch f {
	case faultUnreached:
		return errUnreached
	case faultRefusal:
		return &control.Error{Reason: control.ReasonBroken, Message: "told to refuse"}
	case faultCrash:
		panic(crash{})
	case faultNone, faultUnanswered, faultCrashAfter:
	}
	err := effect()
	var active []string
	for uid, g := range w.gates {
		if w.active(g) {
			active = append(active, uid)
		}
	}
	require.LessOrEqual(w.t, len(active), 1, "active at the same time, after %s: %v", name, active)
	switch f {
	case faultUnanswered:
		return errUnreached
	case faultCrashAfter:
		panic(crash{})
	default:
		return err
	}
}

// reconcile runs the controller until the migration has ended, as often as it has to be restarted.
func (w *world) reconcile(m *v1alpha1.Migration) *v1alpha1.Migration {
	for range 5000 {
		result := w.reconcileOnce(m)
		w.clock.SetTime(w.clock.Now().Add(max(result.RequeueAfter, time.Millisecond)))
		have := &v1alpha1.Migration{}
		err := w.api.Get(w.t.Context(), client.ObjectKeyFromObject(m), have)
		if apierrors.IsNotFound(err) {
			return nil
		}
		require.NoError(w.t, err)
		if have.Status.Phase.Ended() && !slices.Contains(have.Finalizers, finalizer) {
			return have
		}
	}
	w.t.Fatalf("the migration does not end; last calls: %s", strings.Join(w.calls[max(0, len(w.calls)-20):], ", "))
	return nil
}

func (w *world) reconcileOnce(m *v1alpha1.Migration) (result ctrl.Result) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crash); !ok {
				panic(p)
			}
			result = ctrl.Result{}
		}
	}()
	// A new reconciler each time: it must remember nothing.
	c := &Reconciler{API: w.api, Nodes: w, Placer: w.placer, Events: w.events, Clock: w.clock}
	result, err := c.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(m)})
	var refused *control.Error
	if err != nil && !apierrors.IsConflict(err) && !errors.Is(err, errUnreached) && !errors.As(err, &refused) {
		require.NoError(w.t, err)
	}
	return result
}

// Node implements Nodes.
func (w *world) Node(_ context.Context, name string) (Node, error) {
	if name != "node1" && name != "node2" {
		return nil, fmt.Errorf("no agent runs on node %q", name)
	}
	return &node{w: w, name: name}, nil
}

type node struct {
	w    *world
	name string
}

func (n *node) Node(context.Context) (agent.Node, error) {
	return agent.Node{Name: n.name, Problems: n.w.problems[n.name]}, nil
}

func (n *node) Address() string { return n.name + ":9443" }

func (n *node) Gate(uid string) Gate { return &gateClient{w: n.w, node: n.name, uid: uid} }

func (n *node) Checkpoint(_ context.Context, r agent.CheckpointRequest) (agent.Checkpoint, error) {
	return agent.Checkpoint{Bytes: 64 << 20}, n.w.call(n.name+" checkpoint "+r.Container, func() error {
		if !n.w.checkpointed { // asked again, the agent answers with what it has
			require.Equal(n.w.t, control.ModeHeld, n.w.gates[r.PodUID].Mode, "checkpointed outside of a hold")
		}
		n.w.checkpointed = true
		return nil
	})
}

func (n *node) DeleteCheckpoints(context.Context, string) error {
	return n.w.call(n.name+" delete checkpoints", func() error {
		n.w.checkpointed = false
		return nil
	})
}

func (n *node) Deliver(_ context.Context, r agent.DeliveryRequest) (agent.Delivery, error) {
	return agent.Delivery{Bytes: 64 << 20, Digest: "sha256:1"}, n.w.call(n.name+" deliver "+r.Container+" to "+r.Address, func() error {
		t := n.w.tickets[r.TargetUID+"/"+r.Container]
		if t == nil {
			return errors.New("no ticket")
		}
		t.State = fcc.TicketRestored // the wrapper takes it at once
		return nil
	})
}

func (n *node) PutTicket(_ context.Context, migration, uid, container string) (t agent.Ticket, err error) {
	return n.ticket("put", uid, container, func(have *fcc.Ticket) error {
		if have.State == "" {
			*have = fcc.Ticket{Migration: migration, PodUID: uid, Container: container, State: fcc.TicketExpected}
		}
		return nil
	})
}

func (n *node) GetTicket(_ context.Context, uid, container string) (t agent.Ticket, err error) {
	return n.ticket("get", uid, container, func(*fcc.Ticket) error { return nil })
}

func (n *node) CommitTicket(_ context.Context, uid, container string) (t agent.Ticket, err error) {
	return n.ticket("commit", uid, container, func(have *fcc.Ticket) error {
		have.State = fcc.TicketCommitted
		return nil
	})
}

func (n *node) ticket(verb, uid, container string, do func(*fcc.Ticket) error) (t agent.Ticket, err error) {
	err = n.w.call(n.name+" "+verb+" ticket "+container, func() error {
		key := uid + "/" + container
		if n.w.tickets[key] == nil {
			n.w.tickets[key] = &fcc.Ticket{}
		}
		err := do(n.w.tickets[key])
		t.Ticket = *n.w.tickets[key]
		return err
	})
	return t, err
}

func (n *node) DeleteTicket(_ context.Context, uid, container string) error {
	return n.w.call(n.name+" delete ticket "+container, func() error {
		delete(n.w.tickets, uid+"/"+container)
		return nil
	})
}

type gateClient struct {
	w         *world
	node, uid string
}

func (c *gateClient) do(verb string, command control.Command, effect func(g *gate) error) error {
	return c.w.call(fmt.Sprintf("%s gate %s", c.node, verb), func() error {
		g := c.w.gates[c.uid]
		if command.Migration != "" && command.Migration != g.of {
			g.of, g.Epoch = command.Migration, 0
		}
		if command.Epoch > 0 && command.Epoch < g.Epoch {
			return &control.Error{Reason: control.ReasonSuperseded}
		}
		g.Epoch = max(g.Epoch, command.Epoch)
		if g.Mode == control.ModeHeld && c.w.clock.Now().After(g.expires) {
			g.Mode, g.token = control.ModeOpen, ""
		}
		return effect(g)
	})
}

func wrongMode(g *gate) error {
	return &control.Error{Reason: control.ReasonWrongMode, Message: string(g.Mode)}
}

func (c *gateClient) Status(context.Context) (s control.Status, err error) {
	err = c.do("status", control.Command{}, func(g *gate) error {
		s = g.Status
		return nil
	})
	return s, err
}

func (c *gateClient) Inspect(ctx context.Context) (control.Status, error) { return c.Status(ctx) }

func (c *gateClient) Hold(_ context.Context, r control.HoldRequest) (cut control.Cut, err error) {
	err = c.do("hold", r.Command, func(g *gate) error {
		switch g.Mode {
		case control.ModeOpen:
			g.Mode, g.token = control.ModeHeld, fmt.Sprint("token at ", c.w.clock.Now())
			g.expires = c.w.clock.Now().Add(time.Duration(r.ValidMillis) * time.Millisecond)
		case control.ModeHeld:
		default:
			return wrongMode(g)
		}
		cut = control.Cut{Token: g.token, Expires: g.expires, HeldSince: c.w.clock.Now()}
		return nil
	})
	return cut, err
}

func (c *gateClient) Release(_ context.Context, r control.ReleaseRequest) error {
	return c.do("release", r.Command, func(g *gate) error {
		if r.Token != g.token {
			return &control.Error{Reason: control.ReasonTokenExpired}
		}
		if g.Mode == control.ModeHeld {
			g.Mode, g.Logged = control.ModeLogging, 40
		}
		return nil
	})
}

func (c *gateClient) HandOver(ctx context.Context, r control.Command) error {
	return c.do("hand over", r, func(g *gate) error {
		if c.w.restless {
			<-ctx.Done()
			return ctx.Err()
		}
		if g.Mode != control.ModeLogging && g.Mode != control.ModeHandedOver {
			return wrongMode(g)
		}
		if g.Mode != control.ModeHandedOver {
			g.Mode, g.HeldSince = control.ModeHandedOver, ptr.To(c.w.clock.Now())
		}
		for uid, o := range c.w.gates {
			if uid != c.uid && o.Mode == control.ModeReplaying {
				o.Mode, o.Replayed = control.ModeReplayed, g.Logged
			}
		}
		return nil
	})
}

func (c *gateClient) Resume(_ context.Context, r control.Command) error {
	return c.do("resume", r, func(g *gate) error {
		if g.Mode == control.ModeFenced {
			return wrongMode(g)
		}
		g.Mode, g.token = control.ModeOpen, ""
		return nil
	})
}

func (c *gateClient) Fence(_ context.Context, r control.Command) error {
	return c.do("fence", r, func(g *gate) error {
		g.Mode = control.ModeFenced
		return nil
	})
}

func (c *gateClient) Replay(_ context.Context, r control.ReplayRequest) error {
	return c.do("replay", r.Command, func(g *gate) error {
		if g.Mode == control.ModeClosed {
			g.Mode, g.Consumers, g.Mu, g.Replayed = control.ModeReplaying, 1, 200, 40
		}
		return nil
	})
}

func (c *gateClient) Commit(_ context.Context, r control.Command) error {
	return c.do("commit", r, func(g *gate) error {
		if g.Mode != control.ModeReplayed && g.Mode != control.ModeOpen {
			return &control.Error{Reason: control.ReasonNotReplayed, Message: string(g.Mode)}
		}
		g.Mode = control.ModeOpen
		return nil
	})
}
