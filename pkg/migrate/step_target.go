package migrate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// targetGrace ends a target that never became active, or a source that has been superseded. Neither may run its
// shutdown: its life goes on elsewhere, and a farewell would be an effect that the service without the migration would
// not have had. One second is the shortest that the kubelet still confirms.
const targetGrace = 1

// scheduleTarget creates the target pod and waits until the scheduler has found it a node. Its name is determined by the
// migration, so that creating it twice finds the first.
func scheduleTarget(ctx context.Context, r *run) (time.Duration, error) {
	target := &r.m.Status.Target
	if target.UID == "" {
		src, err := r.pod(ctx, r.m.Status.Source)
		if err != nil {
			return 0, err
		}
		if src == nil {
			return 0, errSourceGone
		}
		want := targetPod(r.m, src)
		if err := r.place(ctx, want, src); err != nil {
			return 0, err
		}
		pod, err := r.createTarget(ctx, want)
		if err != nil {
			return 0, err
		}
		target.Pod, target.UID = pod.Name, pod.UID
		return time.Millisecond, nil // store the UID before anything refers to it
	}
	pod, err := r.pod(ctx, *target)
	if err != nil {
		return 0, err
	}
	if pod == nil {
		return 0, fail("TargetGone", "target pod %s was deleted by somebody else", target.Pod)
	}
	if pod.Spec.NodeName != "" {
		target.Node = pod.Spec.NodeName
		if _, err := r.prepared(ctx, target.Node); err != nil {
			return 0, fail("TargetNodeNotPrepared", "node %s, which the scheduler chose, cannot be a target: %w", target.Node, err)
		}
		return 0, nil
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
			return 0, fail("Unschedulable", "no node can take the pod: %s", c.Message)
		}
	}
	return poll, nil
}

func (r *run) createTarget(ctx context.Context, want *corev1.Pod) (*corev1.Pod, error) {
	err := r.api.Create(ctx, want)
	if err == nil {
		return want, nil
	}
	if apierrors.IsAlreadyExists(err) {
		have := &corev1.Pod{}
		if err := r.api.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
			return nil, fmt.Errorf("reading target pod %s: %w", want.Name, err)
		}
		if have.Labels[v1alpha1.LabelMigration] == r.uid() {
			return have, nil
		}
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsAlreadyExists(err) {
		return nil, fail("TargetRefused", "creating target pod %s: %w", want.Name, err)
	}
	return nil, fmt.Errorf("creating target pod %s: %w", want.Name, err)
}

func deleteTarget(ctx context.Context, r *run) (time.Duration, error) {
	target := r.m.Status.Target
	if target.UID == "" {
		// The pod may have been created without its UID having been stored.
		pods := &corev1.PodList{}
		err := r.api.List(ctx, pods, client.InNamespace(r.m.Namespace), client.MatchingLabels{v1alpha1.LabelMigration: r.uid()})
		if err != nil {
			return 0, fmt.Errorf("looking for the target pod: %w", err)
		}
		if len(pods.Items) == 0 {
			return 0, nil
		}
		target = v1alpha1.Instance{Pod: pods.Items[0].Name, UID: pods.Items[0].UID}
	}
	gone, err := r.deletePod(ctx, target, targetGrace)
	if err != nil || gone {
		return 0, err
	}
	return poll, nil
}
