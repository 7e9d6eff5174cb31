package migrate

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// swap runs a migration of a StatefulSet's pod; when is called before each call of an agent or gate.
func swap(t *testing.T, when func(w *world, call string) fault) (*world, *v1alpha1.Migration) {
	t.Helper()
	m := migrationOf(setPod())
	w := newWorld(t, m, setPod())
	w.fault = func(call string, _ int) fault { return when(w, call) }
	return w, w.reconcile(m)
}

func (w *world) podNamed(name string) *corev1.Pod {
	pod := &corev1.Pod{}
	require.NoError(w.t, w.api.Get(w.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, pod))
	return pod
}

// deleteStandIn is somebody who deletes the pod that holds the state.
func (w *world) deleteStandIn() {
	pods := &corev1.PodList{}
	require.NoError(w.t, w.api.List(w.t.Context(), pods))
	for _, p := range pods.Items {
		if p.Name != setPod().Name {
			require.NoError(w.t, w.api.Delete(w.t.Context(), &p))
		}
	}
}

func TestSwapKeepsTheIdentity(t *testing.T) {
	w, m := swap(t, func(*world, string) fault { return faultNone })
	require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
	require.Equal(t, 1, w.made, "the set made its pod again once")
	pod := w.podNamed("ledger-1")
	require.Equal(t, "node2", pod.Spec.NodeName)
	require.Equal(t, setPod().OwnerReferences, pod.OwnerReferences)
	require.Equal(t, setPod().Spec.Hostname, pod.Spec.Hostname)
	require.Equal(t, "r1", pod.Labels[appsv1.ControllerRevisionHashLabelKey])
}

// TestReturnIsTriedAgain: a second leg that fails is undone, the stand-in goes on, and the set's next pod gets the state.
func TestReturnIsTriedAgain(t *testing.T) {
	for _, call := range []string{"node2 checkpoint ledger", "node2 gate release", "node2 gate replay", "node2 gate hand over"} {
		t.Run(call, func(t *testing.T) {
			failures := 0
			w, m := swap(t, func(w *world, c string) fault {
				if c == call && w.made > 0 && failures < 3 {
					failures++
					return faultRefusal
				}
				return faultNone
			})
			require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
			require.Equal(t, 4, w.made)
			require.EqualValues(t, 4, m.Status.Leg)
			w.requireOneActive(m)
		})
	}
}

// TestStandInDeleted: with the stand-in goes the state, as with any deleted pod; the set's pod starts empty and open.
func TestStandInDeleted(t *testing.T) {
	deleted := false
	w, m := swap(t, func(w *world, call string) fault {
		if !deleted && w.made == 1 && call == "node2 gate replay" {
			deleted = true
			w.deleteStandIn()
		}
		return faultNone
	})
	require.Equal(t, v1alpha1.PhaseFailed, m.Status.Phase)
	require.Contains(t, m.Status.Message, "was deleted, and with it the state")
	require.Equal(t, control.ModeOpen, w.gates[string(w.podNamed("ledger-1").UID)].Mode)
}

// TestSetChangesItsMind while the state is in the stand-in.
func TestSetChangesItsMind(t *testing.T) {
	for name, change := range map[string]func(*appsv1.StatefulSet){
		"scaled below the ordinal": func(s *appsv1.StatefulSet) { s.Spec.Replicas = ptr.To[int32](1) },
		"ordinals start later":     func(s *appsv1.StatefulSet) { s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 2} },
	} {
		t.Run(name, func(t *testing.T) {
			changed := false
			w, m := swap(t, func(w *world, call string) fault {
				if !changed && call == "node1 delete checkpoints" {
					changed = true
					set := w.set.DeepCopy()
					change(set)
					require.NoError(t, w.api.Update(t.Context(), set))
				}
				return faultNone
			})
			require.Equal(t, v1alpha1.PhaseFailed, m.Status.Phase)
			for _, g := range w.gates {
				require.NotEqual(t, control.ModeLogging, g.Mode)
			}
		})
	}
}

// TestSourceDeletedBeforeCommit: the guard keeps the set from making its pod until the stand-in is undone.
func TestSourceDeletedBeforeCommit(t *testing.T) {
	deleted := false
	w, m := swap(t, func(w *world, call string) fault {
		if !deleted && call == "node1 gate hand over" {
			deleted = true
			require.NoError(t, w.api.Delete(t.Context(), setPod()))
			require.Equal(t, 0, w.made)
		}
		return faultNone
	})
	require.Equal(t, v1alpha1.PhaseRolledBack, m.Status.Phase)
	pod := w.podNamed("ledger-1")
	require.Equal(t, 1, w.made)
	require.Equal(t, control.ModeOpen, w.gates[string(pod.UID)].Mode, "a pod that replaces a deleted one starts as any")
}
