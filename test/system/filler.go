package system

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fillerLabel marks the pods that load a node.
var fillerLabel = client.MatchingLabels{"app": "filler"}

// Fill puts pods on a node that ask for half its CPU, so that it counts as loaded.
func (s *System) Fill(ctx context.Context, name string) error {
	const pods = 5
	node := &corev1.Node{}
	if err := s.API.Get(ctx, client.ObjectKey{Name: name}, node); err != nil {
		return fmt.Errorf("reading node %s: %w", name, err)
	}
	share := resource.NewMilliQuantity(node.Status.Allocatable.Cpu().MilliValue()/2/pods, resource.DecimalSI)
	for i := range pods {
		if err := client.IgnoreAlreadyExists(s.API.Create(ctx, filler(name, *share, i))); err != nil {
			return fmt.Errorf("filling node %s: %w", name, err)
		}
	}
	return s.await(ctx, "the pods that fill node "+name, time.Minute, func(ctx context.Context) (bool, string, error) {
		list := &corev1.PodList{}
		if err := s.API.List(ctx, list, client.InNamespace("default"), fillerLabel); err != nil {
			return false, "", err
		}
		running := 0
		for _, p := range list.Items {
			if p.Status.Phase == corev1.PodRunning {
				running++
			}
		}
		return running >= pods, fmt.Sprintf("%d of %d run", running, pods), nil
	})
}

// Unfill takes those pods away.
func (s *System) Unfill(ctx context.Context) error {
	err := s.API.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace("default"), fillerLabel, client.GracePeriodSeconds(0))
	if err != nil {
		return fmt.Errorf("taking away the pods that fill nodes: %w", err)
	}
	return nil
}

// filler asks for CPU and uses none. Without an owner the descheduler leaves it where it is.
func filler(node string, cpu resource.Quantity, i int) *corev1.Pod {
	grace := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("filler-%s-%d", node, i), Labels: fillerLabel},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "pause", Image: "ms2m.dev/pause:1", ImagePullPolicy: corev1.PullIfNotPresent,
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: cpu}},
			}},
		},
	}
}
