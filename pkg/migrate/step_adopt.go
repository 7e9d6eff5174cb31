package migrate

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// adoptTarget gives the target to the source's ReplicaSet. The set then is one over and deletes a pod of its own: a
// pending one before a running one, an unready one before a ready one, and of equals that with the lowest deletion cost.
// That must be the source: so it waits until the target is ready and the source is not; the source has the lowest cost
// already, in case the kubelet reports late. The set sees all this before the label by which it selects the target, since it
// sees changes in the order in which they were made.
func adoptTarget(ctx context.Context, r *run) (time.Duration, error) {
	hash := r.m.Status.Source.TemplateHash
	if hash == "" {
		return 0, nil // a bare pod
	}
	target, err := r.pod(ctx, r.m.Status.Target)
	if err != nil {
		return 0, err
	}
	if target == nil || replicaSetOf(target) != nil {
		return 0, nil // adopted; or deleted after the commit, as any pod may be: the set makes another
	}
	if r.stepAge() > adoptBound {
		log.FromContext(ctx).Info("Target was not adopted, is its ReplicaSet gone?", "pod", target.Name)
		return 0, nil
	}
	if target.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == hash {
		return poll, nil // the set has to notice
	}
	ready, err := r.readySource(ctx, target)
	if err != nil || !ready {
		return poll, err
	}
	base := target.DeepCopy()
	target.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	if err := r.api.Patch(ctx, target, client.MergeFrom(base)); err != nil {
		return 0, fmt.Errorf("labelling target pod %s: %w", target.Name, err)
	}
	return poll, nil
}

// adoptBound is how long a ReplicaSet is given to adopt the target; the migration must end even when the set is deleted.
const adoptBound = time.Minute

// readySource tells whether the set would choose the source among the two. A source that is gone cannot be chosen, but
// what the set made in its place is younger than the target, and so is chosen before it.
func (r *run) readySource(ctx context.Context, target *corev1.Pod) (bool, error) {
	source, err := r.pod(ctx, r.m.Status.Source)
	if err != nil || source == nil {
		return err == nil, err
	}
	if podCondition(source, v1alpha1.ConditionActive) {
		fenceSource(ctx, r) // the first try did not reach it
	}
	superseded := !podCondition(source, v1alpha1.ConditionActive) && !podCondition(source, corev1.PodReady)
	if target.Status.Phase != corev1.PodRunning || !podCondition(target, corev1.PodReady) || !superseded {
		return false, nil
	}
	return true, nil
}
