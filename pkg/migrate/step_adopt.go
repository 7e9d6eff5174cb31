package migrate

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// adoptTarget gives the target to the source's ReplicaSet. The set then is one over and deletes a pod of its own: a
// pending one before a running one, an unready one before a ready one, and of equals that with the lowest deletion cost.
// That must be the source: so it waits until the target is ready and the source is not, and gives the source the lowest
// cost in case the kubelet reports late. The set sees all this before the label by which it selects the target, since it
// sees changes in the order in which they were made.
func adoptTarget(ctx context.Context, r *run) (time.Duration, error) {
	source, err := r.pod(ctx, r.m.Status.Source)
	if err != nil {
		return 0, err
	}
	if source == nil {
		return 0, nil // the set has replaced the source already, or the name was its whole identity
	}
	set := replicaSetOf(source)
	if set == nil {
		return 0, nil
	}
	target, err := r.pod(ctx, r.m.Status.Target)
	if err != nil {
		return 0, err
	}
	if target == nil {
		return 0, nil // deleted after the commit, like any pod: the set makes another
	}
	if owner := replicaSetOf(target); owner != nil && owner.UID == set.UID {
		return 0, nil
	}
	handedOver := podCondition(target, corev1.PodReady) && !podCondition(source, corev1.PodReady) && !podCondition(source, v1alpha1.ConditionActive)
	if target.Status.Phase != corev1.PodRunning || !handedOver {
		return poll, nil
	}
	if err := r.annotate(ctx, source, corev1.PodDeletionCost, "-2147483648"); err != nil {
		return 0, err
	}
	hash := source.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	if hash == "" || target.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == hash {
		return poll, nil // a bare ReplicaSet selects by the labels that the target has; else the set has to notice
	}
	base := target.DeepCopy()
	target.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	if err := r.api.Patch(ctx, target, client.MergeFrom(base)); err != nil {
		return 0, fmt.Errorf("labelling target pod %s: %w", target.Name, err)
	}
	return poll, nil
}

func (r *run) annotate(ctx context.Context, pod *corev1.Pod, key, value string) error {
	if pod.Annotations[key] == value {
		return nil
	}
	base := pod.DeepCopy()
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[key] = value
	if err := r.api.Patch(ctx, pod, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("annotating pod %s: %w", pod.Name, err)
	}
	return nil
}
