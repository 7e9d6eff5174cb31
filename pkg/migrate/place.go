package migrate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Placer chooses the node that a target pod is to be scheduled to. It tells why, for people; an empty node means that
// none can take the pod.
type Placer interface {
	Place(ctx context.Context, target, source *corev1.Pod) (node, why string, err error)
}

// place names the target pod's node, unless the migration does. Without an answer the scheduler chooses among all nodes
// but the source's, as it would anyway; it then does not know of the moves under way.
func (r *run) place(ctx context.Context, target, source *corev1.Pod) error {
	if r.placer == nil || r.m.Spec.TargetNode != "" {
		return nil
	}
	node, why, err := r.placer.Place(ctx, target, source)
	switch {
	case err != nil:
		log.FromContext(ctx).Info("The scheduler is to choose the target node", "reason", err.Error())
	case node == "":
		return fail("Unschedulable", "no node can take the pod: %s", why)
	default:
		placeOn(&target.Spec, node, source.Spec.NodeName)
		r.tell("TargetChosen", why)
	}
	return nil
}
