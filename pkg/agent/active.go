package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

const (
	// pollEvery bounds how late a change of mode is seen that no command of ours made.
	pollEvery = time.Second
	// gateAnswers bounds a gate's answer about its status.
	gateAnswers = 2 * time.Second
)

// active keeps the readiness gate ms2m.dev/Active of the node's prepared pods as their gates' modes demand.
type active struct {
	kube  kubernetes.Interface
	pods  *pods
	gates *gates
	log   *slog.Logger

	// turns of updates, by pod UID.
	turns turns
	mu    sync.Mutex
	set   map[string]corev1.ConditionStatus // last written, by pod UID, ahead of the informer
}

// turns lets one at a time do something under a key.
type turns struct{ locks sync.Map }

// take waits for a turn and returns what ends it.
func (t *turns) take(key string) (done func()) {
	lock, _ := t.locks.LoadOrStore(key, &sync.Mutex{})
	lock.(*sync.Mutex).Lock() //nolint:forcetypeassert // the map holds nothing else
	return lock.(*sync.Mutex).Unlock
}

func (t *turns) forget(key string) { t.locks.Delete(key) }

// watch polls all gates until the context is done.
func (v *active) watch(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		var group errgroup.Group
		group.SetLimit(8)
		for _, pod := range v.pods.prepared() {
			group.Go(func() error { v.update(ctx, string(pod.UID)); return nil })
		}
		_ = group.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// update the condition of one pod. A gate that does not answer, as one that is just starting, changes nothing: it
// comes back in the mode in which it was.
func (v *active) update(ctx context.Context, podUID string) {
	// Two updates of a pod, that of a command and that of the poll, must not write in another order than they read in.
	defer v.turns.take(podUID)()
	ctx, cancel := context.WithTimeout(ctx, gateAnswers)
	defer cancel()
	status, err := v.gates.client(podUID).Status(ctx)
	pod := v.pods.withUID(podUID)
	if err != nil || pod == nil {
		return
	}
	if err := v.write(ctx, pod, status.Mode); err != nil {
		v.log.Warn("writing condition failed", "condition", v1alpha1.ConditionActive, "pod", pod.Name, "namespace", pod.Namespace, "error", err)
	}
}

// isActive tells whether the instance behind a gate in this mode is the one that processes messages.
func isActive(mode control.Mode) corev1.ConditionStatus {
	switch mode {
	case control.ModeClosed, control.ModeReplaying, control.ModeReplayed, control.ModeHandedOver, control.ModeFenced:
		return corev1.ConditionFalse
	default:
		return corev1.ConditionTrue
	}
}

// write the condition when its status has changed, and not with every mode: a kubelet synchronises a pod at each change
// of its status, and a pod that it has just synchronised it ends a second later. Turns keep an older mode from being
// written after a newer.
func (v *active) write(ctx context.Context, pod *corev1.Pod, mode control.Mode) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	uid, want := string(pod.UID), isActive(mode)
	if v.current(pod) == want {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		// With the UID the patch cannot hit a newer pod of the same name.
		"metadata": map[string]any{"uid": uid},
		"status":   map[string]any{"conditions": conditions(pod, want, mode)},
	})
	if err != nil {
		return fmt.Errorf("encoding condition: %w", err)
	}
	_, err = v.kube.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("patching pod: %w", err)
	}
	if v.set == nil {
		v.set = map[string]corev1.ConditionStatus{}
	}
	v.set[uid] = want
	v.log.Info("active instance changed", "pod", pod.Name, "namespace", pod.Namespace, "active", want, "mode", mode)
	return nil
}

// conditions of a pod whose gate is in the mode. Its readiness follows at once, as it does when the node controller gives
// up a node: the kubelet comes to the same result, but only after its next look at the containers, a second or two
// later. Until then Services would send to a superseded instance and not to the one that took over.
func conditions(pod *corev1.Pod, want corev1.ConditionStatus, mode control.Mode) []corev1.PodCondition {
	now := metav1.Now()
	active := corev1.PodCondition{
		Type: v1alpha1.ConditionActive, Status: want, Reason: string(mode), Message: "the pod's gate went into this mode", LastTransitionTime: now,
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: want, LastTransitionTime: now}
	switch {
	case want == corev1.ConditionFalse:
		// In the kubelet's own words: it synchronises a pod whose condition reads otherwise than it would write it, and
		// until that is done it does not begin to end the pod.
		ready.Reason = "ReadinessGatesNotReady"
		ready.Message = fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", v1alpha1.ConditionActive, want)
	case !readyButFor(pod, v1alpha1.ConditionActive):
		return []corev1.PodCondition{active}
	}
	return []corev1.PodCondition{active, ready}
}

// readyButFor tells whether only the one readiness gate keeps the pod from being ready.
func readyButFor(pod *corev1.Pod, gate corev1.PodConditionType) bool {
	holds := map[corev1.PodConditionType]bool{}
	for _, c := range pod.Status.Conditions {
		holds[c.Type] = c.Status == corev1.ConditionTrue
	}
	for _, g := range pod.Spec.ReadinessGates {
		if g.ConditionType != gate && !holds[g.ConditionType] {
			return false
		}
	}
	return holds[corev1.ContainersReady] && pod.DeletionTimestamp == nil
}

// current status of the pod's condition: as last written here, or before that as the informer has it.
func (v *active) current(pod *corev1.Pod) corev1.ConditionStatus {
	if last, ok := v.set[string(pod.UID)]; ok {
		return last
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == v1alpha1.ConditionActive {
			return c.Status
		}
	}
	return ""
}

func (v *active) forget(podUID string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.set, podUID)
	v.turns.forget(podUID)
}
