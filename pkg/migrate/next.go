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
	moveRollBack             // every step of the leg that was begun is undone
)

// next decides from the conditions alone which step of which leg is to be done or undone. It has no other input, so that
// a controller that takes over decides as the old one would have.
func next(legs []leg, conditions []metav1.Condition) (move, leg, step) {
	for _, l := range legs {
		if i := slices.IndexFunc(l, func(s step) bool { return !meta.IsStatusConditionTrue(conditions, s.condition) }); i >= 0 {
			m, s := l.next(i, conditions)
			return m, l, s
		}
	}
	return moveSucceed, nil, step{}
}

// next in a leg whose step i is the first that is not done.
func (l leg) next(i int, conditions []metav1.Condition) (move, step) {
	if !rollingBack(conditions) {
		return moveDo, l[i]
	}
	// From the bottom up; a step that was never begun has no condition and nothing to undo.
	for _, s := range slices.Backward(l) {
		if c := meta.FindStatusCondition(conditions, s.condition); c != nil && c.Status != metav1.ConditionFalse {
			return moveUndo, s
		}
	}
	return moveRollBack, step{}
}

func rollingBack(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, conditionRollingBack)
}

// committed tells whether the leg is past its point of no return.
func (l leg) committed(conditions []metav1.Condition) bool {
	return slices.ContainsFunc(l, func(s step) bool {
		return s.commits && meta.IsStatusConditionTrue(conditions, s.condition)
	})
}

// after returns the step behind the one given.
func (l leg) after(s step) (step, bool) {
	i := slices.IndexFunc(l, func(o step) bool { return o.condition == s.condition }) + 1
	if i >= len(l) {
		return step{}, false
	}
	return l[i], true
}

// phase derives the phase of a migration under way from its conditions.
func phase(legs []leg, conditions []metav1.Condition) v1alpha1.Phase {
	if m, _, s := next(legs, conditions); m == moveDo {
		return s.phase
	}
	return v1alpha1.PhaseFinalizing
}
