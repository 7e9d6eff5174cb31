package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// finalizer keeps a Migration until it has ended: deleting one under way rolls it back, or, after the commit, waits.
const finalizer = "ms2m.dev/migration"

// concurrency is the number of migrations that are advanced at once.
const concurrency = 8

// Reconciler advances Migrations.
type Reconciler struct {
	// API reads live and writes.
	API   client.Client
	Nodes Nodes
	// Placer may be nil.
	Placer Placer
	Events events.EventRecorder
	Clock  clock.PassiveClock
}

// SetupWithManager adds the migration controller to the manager. Reads of the steps go past the manager's cache: a
// decision on what was, not on what is, could repeat a side effect.
func SetupWithManager(mgr ctrl.Manager, nodes Nodes, placer Placer) error {
	live, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("making client of migration controller: %w", err)
	}
	r := &Reconciler{API: live, Nodes: nodes, Placer: placer, Events: mgr.GetEventRecorder("ms2m-controller"), Clock: clock.RealClock{}}
	return ctrl.NewControllerManagedBy(mgr).
		Named("migration").
		For(&v1alpha1.Migration{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}, underWay)).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// The controller's own writes of the status, which do not change the generation, must not wake it: what it waits for
// it looks at in its own time. underWay drops Migrations that have ended; only their deletion still concerns the controller.
var underWay = predicate.NewPredicateFuncs(func(o client.Object) bool {
	m, ok := o.(*v1alpha1.Migration)
	return ok && (!m.Status.Phase.Ended() || controllerutil.ContainsFinalizer(m, finalizer))
})

// Reconcile advances one migration until it has to wait.
func (c *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	m := &v1alpha1.Migration{}
	if err := c.API.Get(ctx, req.NamespacedName, m); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r := &run{api: c.API, nodes: c.Nodes, placer: c.Placer, clock: c.Clock, m: m}
	r.tell = func(reason, note string) { c.report(r, corev1.EventTypeNormal, reason, note) }
	for !m.Status.Phase.Ended() {
		before := m.DeepCopy()
		wait, err := c.advance(ctx, r)
		if stored := c.store(ctx, before, m); stored != nil {
			if apierrors.IsConflict(stored) {
				return ctrl.Result{RequeueAfter: time.Millisecond}, nil // somebody was quicker: look again
			}
			return ctrl.Result{}, stored
		}
		if err != nil {
			return ctrl.Result{}, err
		}
		if wait > time.Millisecond {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
	}
	return ctrl.Result{}, c.forget(ctx, m)
}

// advance makes one move. What it changes in the status is stored before the next.
func (c *Reconciler) advance(ctx context.Context, r *run) (time.Duration, error) {
	if r.m.Status.StartTime == nil {
		return c.admit(ctx, r)
	}
	legs, ok := strategies[r.m.Status.Strategy]
	if !ok {
		return 0, fmt.Errorf("migration has unknown strategy %q: is this controller older than the migration?", r.m.Status.Strategy)
	}
	defer func() {
		if !r.m.Status.Phase.Ended() {
			r.m.Status.Phase = phase(legs, r.m.Status.Conditions)
		}
	}()
	switch m, l, s := next(legs, r.m.Status.Conditions); m {
	case moveDo:
		return c.do(ctx, r, l, s)
	case moveUndo:
		return c.undo(ctx, r, s)
	case moveRollBack:
		if r.m.Status.Leg > 0 {
			return c.returnAgain(ctx, r, l)
		}
		c.finishRollBack(r)
	case moveSucceed:
		return 0, c.finish(ctx, r)
	}
	return 0, nil
}

// admitBound is how long a migration that cannot be decided upon is tried.
const admitBound = 30 * time.Second

// admit accepts a migration or refuses it with nothing touched.
func (c *Reconciler) admit(ctx context.Context, r *run) (time.Duration, error) {
	if r.m.DeletionTimestamp != nil {
		r.end(v1alpha1.PhaseFailed, "deleted before it began")
		return 0, nil
	}
	if before := r.m.DeepCopy(); controllerutil.AddFinalizer(r.m, finalizer) {
		return 0, c.patchFinalizers(ctx, before, r.m)
	}
	err := r.accept(ctx)
	if err != nil && r.clock.Now().Sub(r.m.CreationTimestamp.Time) > admitBound {
		err = asFailure("NotDecided", err)
	}
	var refused *failure
	switch {
	case errors.As(err, &refused):
		r.set(conditionAccepted, metav1.ConditionFalse, refused.reason, refused.Error())
		r.end(v1alpha1.PhaseFailed, refused.Error())
		c.report(r, corev1.EventTypeWarning, refused.reason, "refused: "+refused.Error())
		return 0, nil
	case err != nil:
		r.m.Status.Message = err.Error() + "; trying again"
		return retryEvery, nil
	}
	r.set(conditionAccepted, metav1.ConditionTrue, "Accepted", "")
	r.m.Status.Phase, r.m.Status.Message = v1alpha1.PhasePending, ""
	c.report(r, corev1.EventTypeNormal, "MigrationStarted", fmt.Sprintf("migrating pod %s from node %s", r.m.Status.Source.Pod, r.m.Status.Source.Node))
	return 0, nil
}

// do makes a step go on, or decides to roll back.
func (c *Reconciler) do(ctx context.Context, r *run, l leg, s step) (time.Duration, error) {
	committed := l.committed(r.m.Status.Conditions)
	if !committed {
		if reason, message := r.overdue(ctx, l); reason != "" {
			c.rollBack(r, s, reason, message)
			return 0, nil
		}
	}
	if r.enter(s) {
		return 0, nil // the intent is stored before the side effect
	}
	wait, err := s.do(ctx, r)
	var failed *failure
	switch {
	case errors.As(err, &failed) && !committed:
		c.rollBack(r, s, failed.reason, failed.Error())
		return 0, nil
	case err != nil:
		r.m.Status.Message = fmt.Sprintf("%s: %s; trying again", s.name, err)
		log.FromContext(ctx).Info("Step did not succeed, trying again", "step", s.name, "error", err.Error())
		return retryEvery, nil
	case wait > 0:
		return wait, nil
	}
	r.finish(s)
	r.m.Status.Message = ""
	observeStep(r.m, s.name)
	if following, ok := l.after(s); ok {
		r.enter(following) // one write for the observation of this step and the intent of the next
	}
	return 0, nil
}

// retryEvery is the time between two tries of a step that failed for a reason that may pass.
const retryEvery = 250 * time.Millisecond

// overdue tells why a migration must not go on even though no step failed.
func (r *run) overdue(ctx context.Context, l leg) (reason, message string) {
	deadline := r.m.Spec.Cutoff.Deadline.Duration
	if began := r.began(l); deadline > 0 && !began.IsZero() && r.clock.Now().Sub(began) > deadline {
		return "DeadlineExceeded", fmt.Sprintf("not committed within the deadline of %s: %s", deadline, r.m.Status.Message)
	}
	if r.m.DeletionTimestamp != nil && r.m.Status.Leg == 0 {
		return "Deleted", "the migration was deleted"
	}
	pod, err := r.pod(ctx, r.m.Status.Source)
	if err != nil {
		return "", "" // the step will meet the same error and be tried again
	}
	if pod == nil || pod.DeletionTimestamp != nil || ended(pod) {
		return "SourceGone", fmt.Sprintf("source pod %s was deleted by somebody else, or its node has evicted it", r.m.Status.Source.Pod)
	}
	return "", ""
}

// began is when the clock of a leg's deadline started: with the migration, and of a further leg once there is a pod to
// move the state into.
func (r *run) began(l leg) time.Time {
	if r.m.Status.Leg == 0 {
		return r.m.Status.StartTime.Time
	}
	if c := meta.FindStatusCondition(r.m.Status.Conditions, l[0].condition); c != nil && c.Status == metav1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

func (c *Reconciler) rollBack(r *run, s step, reason, message string) {
	r.m.Status.Epoch = epochDecided
	r.set(conditionRollingBack, metav1.ConditionTrue, reason, message)
	r.stopClock()
	r.m.Status.Message = message
	c.report(r, corev1.EventTypeWarning, reason, fmt.Sprintf("%s: %s; rolling back", s.name, message))
}

func (c *Reconciler) undo(ctx context.Context, r *run, s step) (time.Duration, error) {
	if s.undo != nil {
		wait, err := s.undo(ctx, r)
		if err != nil {
			log.FromContext(ctx).Info("Undo did not succeed, trying again", "step", s.name, "error", err.Error())
			return retryEvery, nil
		}
		if wait > 0 {
			return wait, nil
		}
	}
	r.undone(s)
	return 0, nil
}

// finish notes the outcome of a migration that was committed.
func (c *Reconciler) finish(ctx context.Context, r *run) error {
	st := r.m.Status
	target, err := r.pod(ctx, st.Target)
	if err != nil {
		return err
	}
	from := st.Source.Pod
	if st.Origin != nil {
		from = st.Origin.Pod
	}
	message := fmt.Sprintf("pod %s goes on as %s on node %s after %s", from, st.Target.Pod, st.Target.Node, r.age())
	if target == nil {
		message = fmt.Sprintf("pod %s had gone on as %s on node %s when somebody deleted that", from, st.Target.Pod, st.Target.Node)
	}
	r.end(v1alpha1.PhaseSucceeded, message)
	c.report(r, corev1.EventTypeNormal, "Migrated", message)
	return nil
}

// finishRollBack notes the outcome of a migration of which everything is undone.
func (c *Reconciler) finishRollBack(r *run) {
	r.end(v1alpha1.PhaseRolledBack, "rolled back: "+r.m.Status.Message)
	c.report(r, corev1.EventTypeWarning, "RolledBack", fmt.Sprintf("pod %s goes on where it was, after %s", r.m.Status.Source.Pod, r.age()))
}

// longestWait bounds the time between two tries to return.
const longestWait = 30 * time.Second

// returnAgain begins a further leg anew after it was undone: the stand-in is active, and the set's pod is still to get
// the state. It ends when there is no stand-in any more.
func (c *Reconciler) returnAgain(ctx context.Context, r *run, l leg) (time.Duration, error) {
	st := &r.m.Status
	standIn, err := r.pod(ctx, st.Source)
	if err != nil {
		return 0, err
	}
	if standIn == nil || ended(standIn) {
		return c.abandon(ctx, r)
	}
	if standIn.DeletionTimestamp != nil {
		return poll, nil
	}
	for _, s := range l {
		meta.RemoveStatusCondition(&st.Conditions, s.condition)
	}
	meta.RemoveStatusCondition(&st.Conditions, conditionRollingBack)
	r.nextLeg()
	return min(time.Second<<min(st.Leg, 6), longestWait), nil
}

// abandon ends a migration whose stand-in somebody has deleted, and the state with it. The set's pod is made once more,
// open this time: it starts empty, as after any deletion.
func (c *Reconciler) abandon(ctx context.Context, r *run) (time.Duration, error) {
	if r.m.Status.StandIn != nil {
		r.m.Status.StandIn = nil
		return time.Millisecond, nil // from here on the set's pod starts open
	}
	pod, err := r.successor(ctx)
	if err != nil {
		return 0, err
	}
	if pod != nil && r.closed(pod) {
		_, err := r.deletePod(ctx, v1alpha1.Instance{Pod: pod.Name, UID: pod.UID}, targetGrace)
		return poll, err
	}
	message := fmt.Sprintf("the stand-in %s of pod %s was deleted, and with it the state", r.m.Status.Source.Pod, r.m.Status.Origin.Pod)
	r.end(v1alpha1.PhaseFailed, message)
	c.report(r, corev1.EventTypeWarning, "StandInDeleted", message)
	return 0, nil
}

// store writes the status when it changed, by resource version: of two writers that decide, one fails.
func (c *Reconciler) store(ctx context.Context, before, m *v1alpha1.Migration) error {
	if equality.Semantic.DeepEqual(before.Status, m.Status) {
		return nil
	}
	if err := c.API.Status().Update(ctx, m); err != nil {
		return fmt.Errorf("storing status: %w", err)
	}
	if m.Status.Phase.Ended() && !before.Status.Phase.Ended() {
		observeEnd(m)
	}
	return nil
}

// forget lets go of an ended migration.
func (c *Reconciler) forget(ctx context.Context, m *v1alpha1.Migration) error {
	before := m.DeepCopy()
	if !controllerutil.RemoveFinalizer(m, finalizer) {
		return nil
	}
	return client.IgnoreNotFound(c.patchFinalizers(ctx, before, m))
}

// patchFinalizers writes the finalizers alone. An update of the whole object would write its durations as this program
// does, "2m0s" where the user wrote "2m", and be refused as a change of the spec.
func (c *Reconciler) patchFinalizers(ctx context.Context, before, m *v1alpha1.Migration) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.API.Patch(ctx, m, patch); err != nil {
		return fmt.Errorf("writing finalizer: %w", err)
	}
	return nil
}

// report makes an event on the Migration, and on its pod so that `kubectl describe pod` tells what happens to it.
func (c *Reconciler) report(r *run, eventType, reason, note string) {
	c.Events.Eventf(r.m, nil, eventType, reason, "Migrate", "%s", note)
	if r.m.Status.Source.UID != "" {
		pod := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: r.m.Namespace, Name: r.m.Status.Source.Pod, UID: r.m.Status.Source.UID}
		c.Events.Eventf(pod, r.m, eventType, reason, "Migrate", "%s", note)
	}
}
