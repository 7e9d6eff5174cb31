package migratefromdrainednodes

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/descheduler/pkg/utils"
)

// drains tells which nodes are being emptied.
type drains struct {
	cordoned bool
	// taints are keys, or keys and values joined by "=".
	taints sets.Set[string]
}

// of returns the taints by which the node is a drained one, none when it is not.
func (d drains) of(node *corev1.Node) (taints []corev1.Taint) {
	if d.cordoned && node.Spec.Unschedulable {
		taints = append(taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	for _, t := range node.Spec.Taints {
		if d.taints.Has(t.Key) || d.taints.Has(t.Key+"="+t.Value) {
			taints = append(taints, t)
		}
	}
	return taints
}

// tolerates reports whether the pod is content to stay in spite of all the taints.
func tolerates(ctx context.Context, pod *corev1.Pod, taints []corev1.Taint) bool {
	return utils.TolerationsTolerateTaintsWithFilter(ctx, pod.Spec.Tolerations, taints, func(*corev1.Taint) bool { return true })
}

// isMovable leaves out pods that belong to their node, and those that end anyway.
func isMovable(pod *corev1.Pod) bool {
	return !utils.IsMirrorPod(pod) && !utils.IsStaticPod(pod) && !utils.IsDaemonsetPod(pod.OwnerReferences) &&
		!utils.IsPodTerminating(pod) && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}
