package migrate

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// A move is what next decides.
type move int

const (
	moveDo       move = iota // do the step
	moveUndo                 // undo the step
	moveSucceed              // every step is done
	moveRollBack             // every step that was begun is undone
)

// next decides from the conditions alone which step is to be done or undone. It has no other input, so that a
// controller that takes over decides as the old one would have.
func next(steps []step, conditions []metav1.Condition) (move, int) {
	if rollingBack(conditions) {
		// From the bottom up; a step that was never begun has no condition and nothing to undo.
		for i := len(steps) - 1; i >= 0; i-- {
			c := meta.FindStatusCondition(conditions, steps[i].condition)
			if c != nil && c.Status != metav1.ConditionFalse {
				return moveUndo, i
			}
		}
		return moveRollBack, -1
	}
	i := slices.IndexFunc(steps, func(s step) bool {
		return !meta.IsStatusConditionTrue(conditions, s.condition)
	})
	if i < 0 {
		return moveSucceed, -1
	}
	return moveDo, i
}

func rollingBack(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, conditionRollingBack)
}

func committed(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, conditionCommit)
}

// phase derives the phase of a migration under way from its conditions.
func phase(steps []step, conditions []metav1.Condition) v1alpha1.Phase {
	if m, i := next(steps, conditions); m == moveDo {
		return steps[i].phase
	}
	return v1alpha1.PhaseFinalizing
}
