//go:build integration

package system

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/chaos"
	"ms2m.dev/ms2m-descheduler/test/system"
)

// underWay are the phases in which a migration can be disturbed.
var underWay = []v1alpha1.Phase{
	v1alpha1.PhasePending, v1alpha1.PhaseCheckpointing, v1alpha1.PhaseTransferring, v1alpha1.PhaseRestoring,
	v1alpha1.PhaseReplaying, v1alpha1.PhaseFinalizing,
}

// A disturbance of a migration that is under way.
type disturbance struct {
	name string
	do   func(ctx context.Context, m *v1alpha1.Migration) error
	// outcomes that may follow; the state is exact after each.
	outcomes []v1alpha1.Phase
}

func killIn(ctx context.Context, m *v1alpha1.Migration, i v1alpha1.Instance, program string) error {
	pod := &corev1.Pod{}
	if err := installed.API.Get(ctx, types.NamespacedName{Namespace: m.Namespace, Name: i.Pod}, pod); err != nil {
		return err
	}
	return installed.KillInPod(ctx, pod, program)
}

// disturb begins a migration, disturbs it when it has come to the phase, and waits for its end. It tells whether the
// disturbance came while the migration was under way.
func disturb(t *testing.T, l *system.Ledger, d disturbance, phase v1alpha1.Phase) (hit bool) {
	t.Helper()
	m, err := l.BeginMigration(t.Context())
	require.NoError(t, err)
	m, err = l.AwaitMigration(t.Context(), m.Name, string(phase), func(m *v1alpha1.Migration) bool {
		started := m.Status.Source.Node != ""
		return m.Status.Phase == phase && started && (m.Status.Target.Node != "" || phase == v1alpha1.PhasePending) || m.Status.Phase.Ended()
	})
	require.NoError(t, err)
	hit = !m.Status.Phase.Ended()
	if err := d.do(t.Context(), m); err != nil {
		t.Logf("Came too late or too early in phase %s: %s", m.Status.Phase, err)
		hit = false
	}
	m, err = l.AwaitEnd(t.Context(), m.Name)
	require.NoError(t, err)
	require.Contains(t, d.outcomes, m.Status.Phase, m.Status.Message)
	v, err := l.Verdict(t.Context())
	require.NoError(t, err)
	require.True(t, v.Exact(), "%+v", v)
	require.NoError(t, l.AwaitOne(t.Context()))
	return hit
}

// TestControllerKilled kills the leading controller in every phase: the migration goes on under the next one.
func TestControllerKilled(t *testing.T) {
	l := start(t, load(t, 50))
	killed := disturbance{
		name:     "controller killed",
		do:       func(ctx context.Context, _ *v1alpha1.Migration) error { return installed.KillController(ctx) },
		outcomes: []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseRolledBack},
	}
	for _, phase := range underWay {
		t.Run(string(phase), func(t *testing.T) {
			require.True(t, disturb(t, l, killed, phase), "no controller was killed while the migration was under way")
		})
	}
}

// TestAgentKilledWhileFrozen kills the agent that asked for the checkpoint: the kubelet breaks its call off, and with it
// containerd's thaw. The source must not stay frozen.
func TestAgentKilledWhileFrozen(t *testing.T) {
	l := start(t, load(t, 50))
	frozen := disturbance{
		name: "source's agent killed while the source is frozen",
		do: func(ctx context.Context, m *v1alpha1.Migration) error {
			agent, err := installed.AgentOn(ctx, m.Status.Source.Node)
			if err != nil {
				return err
			}
			return installed.KillOnceFrozen(ctx, agent, system.ProgramAgent)
		},
		outcomes: []v1alpha1.Phase{v1alpha1.PhaseRolledBack},
	}
	require.True(t, disturb(t, l, frozen, v1alpha1.PhasePending), "the agent was not killed in time")
}

// TestTargetKilled kills the restored process before the commit: it must not start afresh, and the source goes on.
func TestTargetKilled(t *testing.T) {
	l := start(t, load(t, 150))
	m, err := l.BeginMigration(t.Context(), func(s *v1alpha1.MigrationSpec) {
		s.MaxPause.Duration = 1 // so short that the replay goes on for as long as the test needs
	})
	require.NoError(t, err)
	m, err = l.AwaitMigration(t.Context(), m.Name, "the replay", func(m *v1alpha1.Migration) bool {
		return m.Status.Phase == v1alpha1.PhaseReplaying || m.Status.Phase.Ended()
	})
	require.NoError(t, err)
	require.NoError(t, killIn(t.Context(), m, m.Status.Target, system.ProgramLedger))
	m, err = l.AwaitEnd(t.Context(), m.Name)
	require.NoError(t, err)
	require.Equal(t, v1alpha1.PhaseRolledBack, m.Status.Phase, m.Status.Message)
	again, err := l.AwaitActive(t.Context())
	require.NoError(t, err)
	require.Equal(t, m.Status.Source.UID, again.UID, "the source is not the active instance")
	require.Zero(t, again.Status.ContainerStatuses[0].RestartCount)
}

// TestChaos strikes some migrations, MS2M_CHAOS_RUNS of them. They are the same each time, unless MS2M_CHAOS_SEED says
// otherwise; make chaos draws others.
func TestChaos(t *testing.T) {
	runs, seed := number(t, "MS2M_CHAOS_RUNS", 6), uint64(number(t, "MS2M_CHAOS_SEED", 1))
	all, err := chaos.Run(t.Context(), installed, chaos.Options{Runs: runs, Seed: seed, Rate: 50, Mebibytes: 64, Service: 5 * time.Millisecond})
	require.NoError(t, err)
	t.Log(all)
	require.Zero(t, all.Violations)
}

func number(t *testing.T, env string, otherwise int) int {
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, env)
	return n
}
