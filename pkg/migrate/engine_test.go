package migrate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts in testdata instead of comparing with them")

// TestTranscripts compares the whole trace of calls and events with what is written in testdata. Rewrite with
// `go test ./pkg/migrate -rewrite`, and commit only what you understand the cause of.
func TestTranscripts(t *testing.T) {
	none := func(string, int) fault { return faultNone }
	for _, c := range []struct {
		name  string
		pod   func() *corev1.Pod
		fault func(call string, n int) fault
	}{
		{"succeeds", sourcePod, none},
		{"source does not drain", sourcePod, refuse("node1 gate hold")},
		{"checkpoint fails", sourcePod, refuse("node1 checkpoint ledger")},
		{"token expired", sourcePod, refuse("node1 gate release")},
		{"log is broken at the hand-over", sourcePod, refuse("node1 gate hand over")},
		{"fence does not reach the source", sourcePod, always("node1 gate fence", faultUnreached)},
		{"controller dies after the hold", sourcePod, once("node1 gate hold", faultCrashAfter)},
		{"controller dies after the activation", sourcePod, once("node2 gate commit", faultCrashAfter)},
		{"swap succeeds", setPod, none},
		{"swap rolls back", setPod, refuse("node1 gate hand over")},
		{"swap returns at the second try", setPod, once("node2 gate hand over", faultRefusal)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := migrationOf(c.pod())
			w := newWorld(t, m, c.pod())
			w.fault = c.fault
			golden(t, strings.ReplaceAll(c.name, " ", "-"), w.transcript(w.reconcile(m)))
		})
	}
}

// TestEveryFault lets every single call fail in every way, and the controller die before and after it. Whatever happens,
// never are two instances active (the world checks that at every call), and in the end one is.
func TestEveryFault(t *testing.T) {
	faults := map[string]fault{
		"is not reached": faultUnreached, "is not answered": faultUnanswered, "refuses": faultRefusal,
		"meets a dying controller": faultCrash, "is the controller's last": faultCrashAfter,
	}
	for strategy, pod := range kinds {
		w := newWorld(t, migrationOf(pod()), pod())
		w.reconcile(migrationOf(pod()))
		calls := len(w.calls)
		require.Greater(t, calls, 12)
		for kind, f := range faults {
			for at := range calls {
				t.Run(fmt.Sprintf("%s/call %d %s", strategy, at, kind), func(t *testing.T) {
					m := migrationOf(pod())
					w := newWorld(t, m, pod())
					w.fault = func(_ string, n int) fault {
						if n == at {
							return f
						}
						return faultNone
					}
					w.requireOneActive(w.reconcile(m))
				})
			}
		}
	}
}

// TestDeadControllerTwice kills the controller at two calls of a migration, whichever they are.
func TestDeadControllerTwice(t *testing.T) {
	const calls = 24
	for strategy, pod := range kinds {
		for first := range calls {
			for second := first + 1; second < calls; second++ {
				m := migrationOf(pod())
				w := newWorld(t, m, pod())
				w.fault = func(_ string, n int) fault {
					if n == first || n == second {
						return faultCrashAfter
					}
					return faultNone
				}
				have := w.reconcile(m)
				require.Equal(t, v1alpha1.PhaseSucceeded, have.Status.Phase, "%s, %d, %d: %s", strategy, first, second, have.Status.Message)
				w.requireOneActive(have)
			}
		}
	}
}

func TestDeadlineRollsBack(t *testing.T) {
	m := migration()
	w := newWorld(t, m, sourcePod())
	w.fault = always("node2 gate replay", faultUnreached)
	have := w.reconcile(m)
	require.Equal(t, v1alpha1.PhaseRolledBack, have.Status.Phase)
	require.Equal(t, "DeadlineExceeded", meta.FindStatusCondition(have.Status.Conditions, conditionRollingBack).Reason)
	w.requireOneActive(have)
}

// TestDeletionCostIsTheUsers: the source's cost is the lowest only while its migration goes on, and the target inherits
// what the user wanted.
func TestDeletionCostIsTheUsers(t *testing.T) {
	for name, cost := range map[string]*string{"set": ptr.To("7"), "not set": nil} {
		t.Run(name, func(t *testing.T) {
			pod := sourcePod()
			if cost != nil {
				pod.Annotations = map[string]string{corev1.PodDeletionCost: *cost}
			}
			costOf := func(w *world, name string) *string {
				have := &corev1.Pod{}
				require.NoError(t, w.api.Get(t.Context(), client.ObjectKey{Namespace: pod.Namespace, Name: name}, have))
				if value, ok := have.Annotations[corev1.PodDeletionCost]; ok {
					return &value
				}
				return nil
			}
			m := migration()
			w := newWorld(t, m, pod)
			w.fault = refuse("node1 gate hand over")
			require.Equal(t, v1alpha1.PhaseRolledBack, w.reconcile(m).Status.Phase)
			require.Equal(t, cost, costOf(w, pod.Name))

			m = migration()
			w = newWorld(t, m, pod)
			require.Equal(t, cost, costOf(w, w.reconcile(m).Status.Target.Pod))
		})
	}
}

// TestDeletionRollsBack deletes the Migration while its log grows.
func TestDeletionRollsBack(t *testing.T) {
	m := migration()
	w := newWorld(t, m, sourcePod())
	w.fault = func(call string, _ int) fault {
		if call == "node2 gate replay" {
			require.NoError(t, client.IgnoreNotFound(w.api.Delete(t.Context(), m)))
		}
		return faultNone
	}
	require.Nil(t, w.reconcile(m), "the finalizer was not removed")
	require.Equal(t, control.ModeOpen, w.gates[sourceUID].Mode)
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		reason string
		change func(m *v1alpha1.Migration, p *corev1.Pod, g *control.Status)
	}{
		{"PodNotFound", func(m *v1alpha1.Migration, _ *corev1.Pod, _ *control.Status) { m.Spec.Pod.Name = "nobody" }},
		{"PodReplaced", func(m *v1alpha1.Migration, _ *corev1.Pod, _ *control.Status) { m.Spec.Pod.UID = "older" }},
		{"NodeNotFound", func(m *v1alpha1.Migration, _ *corev1.Pod, _ *control.Status) { m.Spec.TargetNode = "node9" }},
		{"AlreadyOnNode", func(m *v1alpha1.Migration, _ *corev1.Pod, _ *control.Status) { m.Spec.TargetNode = "node1" }},
		{"NotMigratable", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) {
			delete(p.Labels, v1alpha1.LabelMigratable)
		}},
		{"NotPrepared", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) { p.Spec.RuntimeClassName = nil }},
		{"NotPrepared", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) { p.Spec.InitContainers = nil }},
		{"PodNotRunning", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) { p.Status.Phase = corev1.PodPending }},
		{"PodNotRunning", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
		}},
		{"OwnerNotSupported", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "s", UID: "s", Controller: ptr.To(true)}}
			delete(p.Labels, "pod-template-hash")
		}},
		{"StrategyDoesNotFit", func(m *v1alpha1.Migration, _ *corev1.Pod, _ *control.Status) {
			m.Spec.Strategy = v1alpha1.StrategyIdentitySwap
		}},
		{"OwnerNotSupported", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) { delete(p.Labels, "pod-template-hash") }},
		{"VolumeNotSupported", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}},
		{"HostNamespace", func(_ *v1alpha1.Migration, p *corev1.Pod, _ *control.Status) { p.Spec.HostNetwork = true }},
		{"GateNotOpen", func(_ *v1alpha1.Migration, _ *corev1.Pod, g *control.Status) { g.Mode = control.ModeHandedOver }},
		{"NoConsumer", func(_ *v1alpha1.Migration, _ *corev1.Pod, g *control.Status) { g.Consumers = 0 }},
		{"SessionNotSupported", func(_ *v1alpha1.Migration, _ *corev1.Pod, g *control.Status) { g.Refusals = []string{"a stream"} }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			m, p := migration(), sourcePod()
			g := &control.Status{Mode: control.ModeOpen, Consumers: 1}
			c.change(m, p, g)
			w := newWorld(t, m, p)
			w.gates[sourceUID].Status = *g
			have := w.reconcile(m)
			require.Equal(t, v1alpha1.PhaseFailed, have.Status.Phase)
			require.NotEmpty(t, have.Status.Message)
			require.Equal(t, c.reason, meta.FindStatusCondition(have.Status.Conditions, conditionAccepted).Reason)
			require.Contains(t, <-w.events.Events, "Warning "+c.reason)
			for _, call := range w.calls {
				require.Equal(t, "node1 gate status", call, "a refused migration touches nothing")
			}
		})
	}
}

// TestNodeWithoutCRIU: what an agent reports of its node refuses it as a source, and rolls back when it is the target.
func TestNodeWithoutCRIU(t *testing.T) {
	for node, want := range map[string]v1alpha1.Phase{"node1": v1alpha1.PhaseFailed, "node2": v1alpha1.PhaseRolledBack} {
		m := migration()
		w := newWorld(t, m, sourcePod())
		w.problems = map[string][]string{node: {"the node has no criu"}}
		have := w.reconcile(m)
		require.Equal(t, want, have.Status.Phase)
		require.Contains(t, have.Status.Message, "the node has no criu")
		require.Equal(t, control.ModeOpen, w.gates[sourceUID].Mode)
	}
}

// TestTargetGoneAfterCommit: a target that somebody deletes right after the commit is lost like any pod, but the
// migration ends, and with the source gone the ReplicaSet makes another.
func TestTargetGoneAfterCommit(t *testing.T) {
	m := migration()
	w := newWorld(t, m, sourcePod())
	w.fault = func(call string, _ int) fault {
		if call != "node2 commit ticket ledger" {
			return faultNone
		}
		require.NoError(t, client.IgnoreNotFound(w.api.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("default"),
			client.MatchingLabels{v1alpha1.LabelMigration: string(m.UID)})))
		return faultUnreached
	}
	have := w.reconcile(m)
	require.Equal(t, v1alpha1.PhaseSucceeded, have.Status.Phase)
	err := w.api.Get(t.Context(), client.ObjectKey{Namespace: m.Namespace, Name: have.Status.Source.Pod}, &corev1.Pod{})
	require.True(t, apierrors.IsNotFound(err), "the source keeps the ReplicaSet from making another pod")
}

// TestUnreachableGate is refused in the end, with words.
func TestUnreachableGate(t *testing.T) {
	m := migration()
	w := newWorld(t, m, sourcePod())
	w.fault = always("node1 gate status", faultUnreached)
	have := w.reconcile(m)
	require.Equal(t, v1alpha1.PhaseFailed, have.Status.Phase)
	require.Equal(t, "NotDecided", meta.FindStatusCondition(have.Status.Conditions, conditionAccepted).Reason)
	require.Contains(t, have.Status.Message, "connection refused")
}

// TestHandOverTooLong: a target that does not come to END gives the source back.
func TestHandOverTooLong(t *testing.T) {
	m := migration()
	w := newWorld(t, m, sourcePod())
	w.fault = func(call string, _ int) fault {
		if call == "node1 gate hand over" {
			for uid, g := range w.gates {
				if uid != sourceUID && g.Mode == control.ModeReplaying {
					g.Mode = control.ModeClosed // the app has not come back
				}
			}
		}
		return faultNone
	}
	have := w.reconcile(m)
	require.Equal(t, v1alpha1.PhaseRolledBack, have.Status.Phase)
	require.Equal(t, "HandOverTooLong", meta.FindStatusCondition(have.Status.Conditions, conditionRollingBack).Reason)
	w.requireOneActive(have)
}

// TestAppThatDoesNotRest: the gate waits without end for an app to acknowledge what it has; the migration does not.
func TestAppThatDoesNotRest(t *testing.T) {
	m := migration()
	m.Spec.MaxPause.Duration, m.Spec.Cutoff.MaxReplay.Duration = time.Millisecond, time.Millisecond
	w := newWorld(t, m, sourcePod())
	w.restless = true
	have := w.reconcile(m)
	require.Equal(t, v1alpha1.PhaseRolledBack, have.Status.Phase)
	require.Equal(t, "HandOverTooLong", meta.FindStatusCondition(have.Status.Conditions, conditionRollingBack).Reason)
	w.requireOneActive(have)
}

// TestOneMigrationPerPod refuses the second of two that move the same pod, and one that moves a target.
func TestOneMigrationPerPod(t *testing.T) {
	other := migration()
	other.Name, other.UID = "other", "other"
	for reason, at := range map[string]func(*v1alpha1.MigrationStatus){
		"AlreadyMigrating": func(s *v1alpha1.MigrationStatus) { s.Source.UID = sourceUID },
		"PodIsTarget":      func(s *v1alpha1.MigrationStatus) { s.Target.UID = sourceUID },
	} {
		t.Run(reason, func(t *testing.T) {
			m := migration()
			w := newWorld(t, m, sourcePod())
			under := other.DeepCopy()
			require.NoError(t, w.api.Create(t.Context(), under))
			under.Status.Phase = v1alpha1.PhaseReplaying
			at(&under.Status)
			require.NoError(t, w.api.Status().Update(t.Context(), under))
			have := w.reconcile(m)
			require.Equal(t, reason, meta.FindStatusCondition(have.Status.Conditions, conditionAccepted).Reason)
		})
	}
}

func (w *world) requireOneActive(m *v1alpha1.Migration) {
	w.t.Helper()
	source, target := w.gates[sourceUID], w.gates[string(m.Status.Target.UID)]
	require.False(w.t, w.checkpointed, "an archive was left behind")
	switch m.Status.Phase {
	case v1alpha1.PhaseSucceeded:
		require.True(w.t, w.active(target), "nobody is active")
		err := w.api.Get(w.t.Context(), client.ObjectKey{Namespace: m.Namespace, Name: m.Status.Source.Pod}, &corev1.Pod{})
		require.True(w.t, apierrors.IsNotFound(err), "the source is still there")
		if m.Status.Origin != nil {
			require.Equal(w.t, m.Status.Origin.Pod, m.Status.Target.Pod, "the state is not in the pod of the set")
			require.Nil(w.t, m.Status.StandIn)
		}
	case v1alpha1.PhaseRolledBack:
		require.Equal(w.t, control.ModeOpen, source.Mode, "the source does not go on")
		pods := &corev1.PodList{}
		require.NoError(w.t, w.api.List(w.t.Context(), pods))
		require.Len(w.t, pods.Items, 1, "the target was left behind")
		require.Empty(w.t, pods.Items[0].Finalizers, "the source is still guarded")
		require.Empty(w.t, w.tickets, "a ticket was left behind")
	default:
		require.Failf(w.t, "unexpected outcome", "%s: %s", m.Status.Phase, m.Status.Message)
	}
}

func (w *world) transcript(m *v1alpha1.Migration) string {
	var b strings.Builder
	last := ""
	for _, c := range w.calls {
		if c != last { // how often something is looked at is not the point
			fmt.Fprintln(&b, c)
		}
		last = c
	}
	close(w.events.Events)
	for e := range w.events.Events {
		fmt.Fprintln(&b, "event:", e)
	}
	for _, c := range m.Status.Conditions {
		fmt.Fprintf(&b, "condition: %s=%s %s\n", c.Type, c.Status, c.Reason)
	}
	fmt.Fprintf(&b, "%s: %s\n", m.Status.Phase, m.Status.Message)
	return b.String()
}

func golden(t *testing.T, name, have string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *rewrite {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(have), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), have)
}

func refuse(call string) func(string, int) fault { return always(call, faultRefusal) }

func always(call string, f fault) func(string, int) fault {
	return func(c string, _ int) fault {
		if c == call {
			return f
		}
		return faultNone
	}
}

func once(call string, f fault) func(string, int) fault {
	done := false
	return func(c string, _ int) fault {
		if c == call && !done {
			done = true
			return f
		}
		return faultNone
	}
}
