package migrate

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// TestNextIsTotal walks next with an arbitrary failure from any point: it ends, does steps top to bottom, undoes those of
// the leg bottom up, and never undoes after the leg's commit nor does anything after the decision to roll back.
func TestNextIsTotal(t *testing.T) {
	for name, legs := range strategies {
		t.Run(string(name), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { walk(t, legs) })
		})
	}
}

func walk(t *rapid.T, legs []leg) {
	all := slices.Concat(legs...)
	r := &run{m: migration(), clock: newClock()}
	failAt := rapid.IntRange(0, len(all)).Draw(t, "failAt")
	index := func(s step) int {
		return slices.IndexFunc(all, func(o step) bool { return o.condition == s.condition })
	}
	lastDone, lastUndone := -1, len(all)
	for moves := 0; ; moves++ {
		require.Less(t, moves, 3*len(all), "next does not come to an end")
		switch m, l, s := next(legs, r.m.Status.Conditions); m {
		case moveDo:
			require.False(t, rollingBack(r.m.Status.Conditions))
			require.Equal(t, lastDone+1, index(s))
			r.enter(s)
			if index(s) == failAt && !l.committed(r.m.Status.Conditions) {
				r.set(conditionRollingBack, metav1.ConditionTrue, "Test", "")
				continue
			}
			r.finish(s)
			lastDone = index(s)
		case moveUndo:
			require.False(t, l.committed(r.m.Status.Conditions))
			require.Less(t, index(s), lastUndone)
			r.undone(s)
			lastUndone = index(s)
		case moveRollBack:
			require.LessOrEqual(t, failAt, slices.IndexFunc(all, func(o step) bool { return o.condition == l[commitOf(l)].condition }))
			require.Equal(t, index(l[0]), lastUndone, "every step of the leg that was begun is undone, and none before it")
			return
		case moveSucceed:
			require.Equal(t, len(all)-1, lastDone)
			return
		}
	}
}

func commitOf(l leg) int {
	return slices.IndexFunc(l, func(s step) bool { return s.commits })
}

// TestStrategiesAreWellFormed: every leg has one commit, every condition belongs to one step, and what is done after a
// commit needs no undo.
func TestStrategiesAreWellFormed(t *testing.T) {
	for name, legs := range strategies {
		seen := map[string]bool{conditionAccepted: true, conditionRollingBack: true}
		for _, l := range legs {
			at := commitOf(l)
			require.GreaterOrEqual(t, at, 0, name)
			for i, s := range l {
				require.False(t, seen[s.condition], "%s: condition %s is used twice", name, s.condition)
				seen[s.condition] = true
				require.Equal(t, i == at, s.commits, "%s: %s", name, s.name)
				require.True(t, i < at || s.undo == nil, "%s: %s cannot be undone after the commit", name, s.name)
				require.NotEmpty(t, s.phase)
			}
		}
	}
	require.Contains(t, strategies, v1alpha1.StrategyShadow)
}
