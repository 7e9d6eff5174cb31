package migrate

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// maxMessage bounds what an error may put into the status.
const maxMessage = 1024

// set writes a condition; its reason is CamelCase, its message for people.
func (r *run) set(condition string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = message[:maxMessage]
	}
	meta.SetStatusCondition(&r.m.Status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: message, ObservedGeneration: r.m.Generation,
	})
}

// enter notes that a step is under way, unless that is noted already. It reports whether it noted anything.
func (r *run) enter(s step) bool {
	if meta.FindStatusCondition(r.m.Status.Conditions, s.condition) != nil {
		return false
	}
	r.set(s.condition, metav1.ConditionUnknown, "InProgress", "")
	r.m.Status.Timeline = append(r.m.Status.Timeline, v1alpha1.StepTime{Step: s.name, Phase: s.phase, Start: r.microNow()})
	return true
}

// finish notes that a step is done.
func (r *run) finish(s step) {
	r.set(s.condition, metav1.ConditionTrue, "Done", "")
	r.stopClock()
}

// undone notes that a step is undone.
func (r *run) undone(s step) {
	r.set(s.condition, metav1.ConditionFalse, "Undone", "")
	now := r.microNow()
	r.m.Status.Timeline = append(r.m.Status.Timeline, v1alpha1.StepTime{Step: s.name, Phase: s.phase, Start: now, End: &now, Undone: true})
}

// age is how long the migration has been under way.
func (r *run) age() time.Duration {
	return r.clock.Now().Sub(r.m.Status.StartTime.Time).Round(time.Millisecond)
}

// stepAge is how long the present step has been under way.
func (r *run) stepAge() time.Duration {
	return r.clock.Now().Sub(r.m.Status.Timeline[len(r.m.Status.Timeline)-1].Start.Time)
}

func (r *run) stopClock() {
	if n := len(r.m.Status.Timeline); n > 0 && r.m.Status.Timeline[n-1].End == nil {
		now := r.microNow()
		r.m.Status.Timeline[n-1].End = &now
	}
}

// end notes the outcome.
func (r *run) end(p v1alpha1.Phase, message string) {
	r.m.Status.Phase = p
	r.m.Status.Message = message
	now := r.microNow()
	r.m.Status.CompletionTime = &now
}
