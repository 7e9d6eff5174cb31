//go:build integration

package system

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/system"
)

// TestDescheduler: LowNodeUtilization finds a node too full, and what would have been an eviction is a migration.
func TestDescheduler(t *testing.T) {
	w := load(t, 50)
	w.Ledger.CPU = "300m"
	l := start(t, w)
	pod, err := l.AwaitActive(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, installed.StopRebalancing(ctx))
		require.NoError(t, installed.Unfill(ctx))
	})
	require.NoError(t, installed.Rebalance(t.Context()))
	require.NoError(t, installed.Fill(t.Context(), pod.Spec.NodeName))
	m, err := l.AwaitDescheduler(t.Context(), 3*time.Minute)
	require.NoError(t, err)
	require.Equal(t, pod.UID, m.Spec.Pod.UID)
	m, err = l.AwaitEnd(t.Context(), m.Name)
	require.NoError(t, err)
	require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
}

// TestBadPolicy: a mistake is named, with key, line and field, and the last good policy stays in force.
func TestBadPolicy(t *testing.T) {
	require.NoError(t, installed.StopRebalancing(t.Context()))
	good, err := installed.AwaitPolicy(t.Context(), "Accepted")
	require.NoError(t, err)
	inForce := good.Data["resourceVersion"]

	require.NoError(t, installed.SetPolicy(t.Context(), "apiVersion: descheduler/v1alpha2\nkind: DeschedulerPolicy\nprofilez: []\n"))
	t.Cleanup(func() { require.NoError(t, installed.StopRebalancing(context.WithoutCancel(t.Context()))) })
	status, err := installed.AwaitPolicy(t.Context(), "Refused")
	require.NoError(t, err)
	require.Contains(t, status.Data["message"], "profilez")
	require.Contains(t, status.Data["message"], "descheduler.yaml")
	require.Equal(t, inForce, status.Data["resourceVersion"], "the last good policy is not in force any more")
	requireEvent(t, system.Namespace, "PolicyRefused", "profilez")
}

// requireEvent waits for a warning that says why.
func requireEvent(t *testing.T, namespace, reason, note string) {
	t.Helper()
	requireEventOf(t, corev1.EventTypeWarning, namespace, reason, note)
}

func requireEventOf(t *testing.T, kind, namespace, reason, note string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		events := &corev1.EventList{}
		require.NoError(c, installed.API.List(t.Context(), events, client.InNamespace(namespace)))
		for _, e := range events.Items {
			if e.Type == kind && e.Reason == reason {
				require.Contains(c, e.Message, note)
				return
			}
		}
		require.Fail(c, "there is no event "+reason)
	}, 20*time.Second, 200*time.Millisecond)
}
