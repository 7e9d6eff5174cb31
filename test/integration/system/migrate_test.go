//go:build integration

package system

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	appsv1 "k8s.io/api/apps/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/report"
	"ms2m.dev/ms2m-descheduler/test/system"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

// TestBackAndForth migrates a pod again and again while its producer never stops.
func TestBackAndForth(t *testing.T) {
	for _, rate := range []float64{5, 50, 150} {
		t.Run(fmt.Sprintf("%g per second", rate), func(t *testing.T) {
			l := start(t, load(t, rate))
			var results []report.Result
			for range 3 {
				m, err := l.Migrate(t.Context())
				require.NoError(t, err)
				o, err := l.Judge(t.Context(), m)
				require.NoError(t, err)
				require.True(t, o.Verdict.Undisturbed(), "%+v", o.Verdict)
				require.NotEqual(t, m.Status.Source.Node, m.Status.Target.Node)
				results = append(results, o.Result)
			}
			require.NoError(t, report.PrintSummary(t.Output(), report.Summarize(results)))
		})
	}
}

// TestKinds migrates what differs from the demo: a bare pod, quorum queues, several producers, an idle consumer.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*system.Load)
	}{
		{"bare pod", func(l *system.Load) { l.Bare = true }},
		{"quorum queues", func(l *system.Load) {
			l.Ledger.Queues.In, l.Ledger.Queues.Out, l.Ledger.Queues.Type = "quorum.in", "quorum.out", "quorum"
		}},
		{"three producers", func(l *system.Load) { l.Producers = 3 }},
		{"prefetch of one", func(l *system.Load) { l.Ledger.Prefetch = 1 }},
		{"nearly idle", func(l *system.Load) { l.Rate = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := load(t, 50)
			c.change(&w)
			l := start(t, w)
			m, err := l.Migrate(t.Context())
			require.NoError(t, err)
			require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
		})
	}
}

// TestTLSBroker: the app speaks plain AMQP, and its gates on both nodes speak TLS to the broker.
func TestTLSBroker(t *testing.T) {
	w := load(t, 50)
	var err error
	w.Ledger.Authority, err = installed.Cluster.RabbitMQAuthority()
	require.NoError(t, err)
	l := start(t, w)
	for range 2 {
		m, err := l.Migrate(t.Context())
		require.NoError(t, err)
		require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
		pod, err := l.AwaitActive(t.Context())
		require.NoError(t, err)
		peers, err := installed.Rabbitmqctl(t.Context(), "list_connections", "peer_host", "ssl")
		require.NoError(t, err)
		require.Contains(t, strings.Fields(peers), pod.Status.PodIP)
		for _, line := range strings.Split(peers, "\n") {
			if host, secure, _ := strings.Cut(line, "\t"); host == pod.Status.PodIP {
				require.Equal(t, "true", secure, peers)
			}
		}
	}
}

// TestOverload: the consumer is slower than its producer, so that the target could never catch up.
func TestOverload(t *testing.T) {
	w := load(t, 60)
	w.Ledger.Service = 25 * time.Millisecond
	l := start(t, w)
	m, err := l.Migrate(t.Context(), func(s *v1alpha1.MigrationSpec) { s.Cutoff.MaxReplay.Duration = 5 * time.Second })
	require.NoError(t, err)
	require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)
}

// TestDeployment: the ReplicaSet takes the target in place of the source; it makes no other pod and no rollout begins.
func TestDeployment(t *testing.T) {
	l := start(t, load(t, 50))
	before, err := l.AwaitActive(t.Context())
	require.NoError(t, err)
	m, err := l.Migrate(t.Context())
	require.NoError(t, err)
	require.Equal(t, v1alpha1.PhaseSucceeded, m.Status.Phase, m.Status.Message)

	after, err := l.AwaitActive(t.Context())
	require.NoError(t, err)
	require.Equal(t, m.Status.Target.UID, after.UID)
	require.Equal(t, before.OwnerReferences, after.OwnerReferences)
	require.Equal(t, before.Labels["pod-template-hash"], after.Labels["pod-template-hash"])
	d := &appsv1.Deployment{}
	require.NoError(t, installed.API.Get(t.Context(), client.ObjectKey{Namespace: after.Namespace, Name: deploy.Name}, d))
	require.EqualValues(t, 1, d.Generation, "the Deployment was changed")
	sets := &appsv1.ReplicaSetList{}
	require.NoError(t, installed.API.List(t.Context(), sets, client.InNamespace(after.Namespace)))
	require.Len(t, sets.Items, 1, "a rollout began")
	pods := &corev1.PodList{}
	require.NoError(t, installed.API.List(t.Context(), pods, client.InNamespace(after.Namespace)))
	require.Len(t, pods.Items, 1)
}
