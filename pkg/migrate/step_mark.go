package migrate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lowestCost makes a ReplicaSet that has one pod too many delete this one, if it is no better than others otherwise.
const lowestCost = "-2147483648"

// markSource gives the source the lowest deletion cost, for the moment in which its ReplicaSet has adopted the target. It
// is done this early because a kubelet that has just synchronised a changed pod takes a second or two longer to end it.
func markSource(ctx context.Context, r *run) (time.Duration, error) {
	return 0, r.setDeletionCost(ctx, ptr.To(lowestCost))
}

// unmarkSource gives the source back what the user wanted.
func unmarkSource(ctx context.Context, r *run) (time.Duration, error) {
	return 0, r.setDeletionCost(ctx, r.m.Status.Source.DeletionCost)
}

// setDeletionCost of the source, if it belongs to a ReplicaSet and is not gone; nil removes it.
func (r *run) setDeletionCost(ctx context.Context, cost *string) error {
	if r.m.Status.Source.TemplateHash == "" {
		return nil
	}
	source, err := r.pod(ctx, r.m.Status.Source)
	if err != nil || source == nil {
		return err
	}
	base := source.DeepCopy()
	if source.Annotations == nil {
		source.Annotations = map[string]string{}
	}
	setOrDelete(source.Annotations, corev1.PodDeletionCost, cost)
	if err := client.IgnoreNotFound(r.api.Patch(ctx, source, client.MergeFrom(base))); err != nil {
		return fmt.Errorf("setting deletion cost of pod %s: %w", source.Name, err)
	}
	return nil
}

func setOrDelete(m map[string]string, key string, value *string) {
	if value == nil {
		delete(m, key)
	} else {
		m[key] = *value
	}
}
