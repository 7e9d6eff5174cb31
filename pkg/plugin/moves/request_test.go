package moves

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrlfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func newRequester(t *testing.T) (*Requester, *clocktesting.FakePassiveClock) {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	clock := clocktesting.NewFakePassiveClock(noon)
	return &Requester{
		Client: ctrlfake.NewClientBuilder().WithScheme(scheme).Build(),
		Index:  NewIndex(),
		Events: events.NewFakeRecorder(100),
		Clock:  clock,
		Policy: v1alpha1.MigrationPolicy{Cooldown: metav1.Duration{Duration: 5 * time.Minute}},
	}, clock
}

func pod(name string, uid types.UID) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: uid}}
}

// end stores the end of the Migration as the engine does; the index does not learn of it.
func end(t *testing.T, r *Requester, m *v1alpha1.Migration, phase v1alpha1.Phase, at time.Time) *v1alpha1.Migration {
	t.Helper()
	m = m.DeepCopy()
	m.Status.Phase = phase
	m.Status.CompletionTime = &metav1.MicroTime{Time: at}
	require.NoError(t, r.Client.Update(t.Context(), m))
	return m
}

func count(t *testing.T, r *Requester) int {
	t.Helper()
	var all v1alpha1.MigrationList
	require.NoError(t, r.Client.List(t.Context(), &all))
	return len(all.Items)
}

func TestAskingTwiceIsAskingOnce(t *testing.T) {
	r, _ := newRequester(t)
	p := pod("p", "12345678-abcd")
	first, err := r.Request(t.Context(), p, "LowNodeUtilization")
	require.NoError(t, err)
	require.Equal(t, "p-12345678", first.Name)
	again, err := r.Request(t.Context(), p, "RemoveDuplicates")
	require.NoError(t, err)
	require.Equal(t, first.Name, again.Name)

	r.Index = NewIndex() // as after a restart, before the informer has caught up
	again, err = r.Request(t.Context(), p, "LowNodeUtilization")
	require.NoError(t, err)
	require.Equal(t, first.Name, again.Name)
	require.Equal(t, 1, count(t, r))
}

func TestPodsOfTheSameNameAreNotTheSame(t *testing.T) {
	r, _ := newRequester(t)
	one, err := r.Request(t.Context(), pod("p-0", "12345678-one"), "x")
	require.NoError(t, err)
	other, err := r.Request(t.Context(), pod("p-0", "12345678-other"), "x")
	require.NoError(t, err)
	require.NotEqual(t, one.Name, other.Name)
	require.Equal(t, types.UID("12345678-other"), other.Spec.Pod.UID)
}

func TestCooldown(t *testing.T) {
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseFailed, v1alpha1.PhaseRolledBack} {
		for name, indexKnows := range map[string]bool{"index up to date": true, "index behind": false} {
			t.Run(string(phase)+" "+name, func(t *testing.T) {
				r, clock := newRequester(t)
				p := pod("p", "12345678-abcd")
				m, err := r.Request(t.Context(), p, "x")
				require.NoError(t, err)
				m = end(t, r, m, phase, noon)
				r.Index = NewIndex()
				if indexKnows {
					r.Index.Set(m)
				}

				clock.SetTime(noon.Add(4 * time.Minute))
				_, err = r.Request(t.Context(), p, "x")
				var cooling *CooldownError
				require.ErrorAs(t, err, &cooling)
				require.WithinDuration(t, noon.Add(5*time.Minute), cooling.Until, 0)
				require.Equal(t, 1, count(t, r))

				clock.SetTime(noon.Add(5 * time.Minute))
				m, err = r.Request(t.Context(), p, "x")
				require.NoError(t, err)
				require.Equal(t, "p-12345678-2", m.Name)
			})
		}
	}
}

func TestNamesFit(t *testing.T) {
	long := pod(strings.Repeat("a", 243)+"."+strings.Repeat("b", 9), "12345678-abcd")
	require.Len(t, name(long, 1), 252)
	require.Equal(t, strings.Repeat("a", 243)+"-12345678", name(long, 1))
	require.LessOrEqual(t, len(name(long, 12)), maxName)
}

func TestIndexFollowsAMigration(t *testing.T) {
	x := NewIndex()
	source, target := pod("p", "source"), pod("p-x", "target")
	m := &v1alpha1.Migration{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "m", UID: "m-uid"},
		Spec:       v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "p", UID: "source"}},
	}
	set := func(change func(*v1alpha1.Migration)) { m = m.DeepCopy(); change(m); x.OnUpdate(nil, m) }

	x.OnAdd(m, true)
	require.True(t, x.Leaving(source))
	require.False(t, x.Arriving(target))
	require.Empty(t, x.Onto("n2"))

	target.Labels = map[string]string{v1alpha1.LabelMigration: "m-uid"}
	require.True(t, x.Arriving(target), "by its label, before the status names it")
	target.Labels = nil
	set(func(m *v1alpha1.Migration) {
		m.Status.Target = v1alpha1.Instance{Pod: "p-x", UID: "target", Node: "n2"}
	})
	require.True(t, x.Arriving(target))
	require.Len(t, x.Onto("n2"), 1)

	set(func(m *v1alpha1.Migration) { m.Status.Phase = v1alpha1.PhaseSucceeded })
	require.True(t, x.Leaving(source), "its pod is on the way out")
	require.False(t, x.Arriving(target))
	require.Empty(t, x.Onto("n2"))

	set(func(m *v1alpha1.Migration) { m.Status.Phase = v1alpha1.PhaseRolledBack })
	require.False(t, x.Leaving(source))

	x.OnDelete(m)
	require.Equal(t, NewIndex(), x)
}

func TestMigratable(t *testing.T) {
	runtimeClass := v1alpha1.RuntimeClass
	good := func() *corev1.Pod {
		p := pod("p", "u")
		p.Labels = map[string]string{v1alpha1.LabelMigratable: "true"}
		p.Spec.RuntimeClassName = &runtimeClass
		p.Status.Phase = corev1.PodRunning
		return p
	}
	require.True(t, Migratable(good()))
	for name, spoil := range map[string]func(*corev1.Pod){
		"label":       func(p *corev1.Pod) { p.Labels = nil },
		"prepared":    func(p *corev1.Pod) { p.Spec.RuntimeClassName = nil },
		"completed":   func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
		"terminating": func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: noon} },
	} {
		p := good()
		spoil(p)
		require.False(t, Migratable(p), name)
	}
}
