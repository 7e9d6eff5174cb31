package migrate

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// TestNextIsTotal walks next with arbitrary outcomes from any point: it ends, does steps top to bottom, undoes them
// bottom up, and never undoes after the commit nor does anything after the decision to roll back.
func TestNextIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &run{m: migration(), clock: newClock()}
		failAt := rapid.IntRange(0, len(shadow)).Draw(t, "failAt")
		lastDone, lastUndone := -1, len(shadow)
		for moves := 0; ; moves++ {
			require.Less(t, moves, 3*len(shadow), "next does not come to an end")
			m, i := next(shadow, r.m.Status.Conditions)
			switch m {
			case moveDo:
				require.False(t, rollingBack(r.m.Status.Conditions))
				require.Equal(t, lastDone+1, i)
				r.enter(shadow[i])
				if i == failAt && !committed(r.m.Status.Conditions) {
					r.set(conditionRollingBack, metav1.ConditionTrue, "Test", "")
					continue
				}
				r.finish(shadow[i])
				lastDone = i
			case moveUndo:
				require.False(t, committed(r.m.Status.Conditions))
				require.Less(t, i, lastUndone)
				r.undone(shadow[i])
				lastUndone = i
			case moveRollBack:
				require.LessOrEqual(t, failAt, indexOf(conditionCommit))
				require.Equal(t, 0, lastUndone, "every step that was begun is undone")
				return
			case moveSucceed:
				require.Equal(t, len(shadow)-1, lastDone)
				return
			}
		}
	})
}

func indexOf(condition string) int {
	for i, s := range shadow {
		if s.condition == condition {
			return i
		}
	}
	panic("no step has condition " + condition)
}
