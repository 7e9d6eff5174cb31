//go:build integration

package system

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/system"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

// TestStatefulSet migrates all pods of a set, one after the other and then all at once. The set is untouched, and each
// pod is the one it was, on another node.
func TestStatefulSet(t *testing.T) {
	w := load(t, 60)
	w.Replicas = 3
	all := startSet(t, w)
	before := map[string]*corev1.Pod{}
	for _, l := range all {
		pod, err := l.AwaitActive(t.Context())
		require.NoError(t, err)
		before[pod.Name] = pod
	}
	for _, l := range all {
		m, err := l.Migrate(t.Context())
		require.NoError(t, err)
		requireSwapped(t, m)
	}
	together, moves := errgroup.Group{}, make([]*v1alpha1.Migration, len(all))
	for i, l := range all {
		together.Go(func() (err error) {
			moves[i], err = l.Migrate(t.Context())
			return err
		})
	}
	require.NoError(t, together.Wait())
	for _, m := range moves {
		requireSwapped(t, m)
	}
	for _, l := range all {
		pod, err := l.AwaitActive(t.Context())
		require.NoError(t, err)
		requireIdentity(t, before[pod.Name], pod)
	}
	requireUntouched(t, w.Ledger.Namespace)
}

// startSet starts the ledgers of a StatefulSet, each judged to its last message when the test ends.
func startSet(t *testing.T, load system.Load) []*system.Ledger {
	t.Helper()
	all, err := installed.StartSet(t.Context(), load)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, l := range all {
			if !t.Failed() {
				requireExact(ctx, t, l)
			}
		}
		for _, l := range all {
			require.NoError(t, l.Stop(ctx))
		}
		if !t.Failed() {
			require.NoError(t, installed.Leftovers(ctx))
		}
	})
	return all
}

func requireSwapped(t *testing.T, m *v1alpha1.Migration) {
	t.Helper()
	require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
	require.Equal(t, v1alpha1.StrategyIdentitySwap, m.Status.Strategy)
	require.NotEqual(t, m.Status.Origin.Node, m.Status.Target.Node)
	// On a machine that is busy with other things the return may have to be tried again.
	require.GreaterOrEqual(t, m.Status.Leg, int32(1))
	t.Logf("%s: %s in %s, longest pause %d ms", m.Status.Origin.Pod, m.Status.Message, m.Status.CompletionTime.Sub(m.Status.StartTime.Time), m.Status.PauseMillis)
}

func requireIdentity(t *testing.T, before, after *corev1.Pod) {
	t.Helper()
	require.NotEqual(t, before.UID, after.UID)
	require.Equal(t, before.Name, after.Name)
	require.Equal(t, before.OwnerReferences, after.OwnerReferences)
	require.Equal(t, before.Spec.Hostname, after.Spec.Hostname)
	require.Equal(t, before.Spec.Subdomain, after.Spec.Subdomain)
	require.Empty(t, after.Finalizers)
	labels := maps.Clone(after.Labels)
	delete(labels, v1alpha1.LabelMigration)
	require.Equal(t, before.Labels, labels)
}

// requireUntouched: the set was neither scaled nor rolled, has its pods and no other, and its names lead to them.
func requireUntouched(t *testing.T, namespace string) {
	t.Helper()
	in := client.InNamespace(namespace)
	set := &appsv1.StatefulSet{}
	require.NoError(t, installed.API.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: deploy.Name}, set))
	require.EqualValues(t, 1, set.Generation, "the set was changed")
	require.Equal(t, set.Status.CurrentRevision, set.Status.UpdateRevision)
	revisions := &appsv1.ControllerRevisionList{}
	require.NoError(t, installed.API.List(t.Context(), revisions, in))
	require.Len(t, revisions.Items, 1)
	pods := &corev1.PodList{}
	require.NoError(t, installed.API.List(t.Context(), pods, in))
	addresses := map[string]string{}
	for _, p := range pods.Items {
		addresses[p.Name] = p.Status.PodIP
	}
	require.Len(t, addresses, int(*set.Spec.Replicas))

	require.Eventually(t, func() bool {
		slices := &discoveryv1.EndpointSliceList{}
		err := installed.API.List(t.Context(), slices, in, client.MatchingLabels{discoveryv1.LabelServiceName: set.Spec.ServiceName})
		names := map[string]string{}
		for _, s := range slices.Items {
			for _, e := range s.Endpoints {
				if e.Hostname != nil && e.Conditions.Ready != nil && *e.Conditions.Ready {
					names[*e.Hostname] = e.Addresses[0]
				}
			}
		}
		return err == nil && maps.Equal(addresses, names)
	}, time.Minute, 200*time.Millisecond, "the pods' DNS names do not lead to them")
}
