package plugin

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/descheduler/pkg/descheduler/evictions"
	podutil "sigs.k8s.io/descheduler/pkg/descheduler/pod"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// handle shows plugins the cluster as it will be when the moves under way are done.
type handle struct {
	frameworktypes.Handle
	index *moves.Index
}

// Evictor implements frameworktypes.Handle.
func (h *handle) Evictor() frameworktypes.Evictor {
	return &evictor{Evictor: h.Handle.Evictor(), index: h.index}
}

// GetPodsAssignedToNodeFunc implements frameworktypes.Handle.
func (h *handle) GetPodsAssignedToNodeFunc() podutil.GetPodsAssignedToNodeFunc {
	list := h.Handle.GetPodsAssignedToNodeFunc()
	return func(node string, filter podutil.FilterFunc) ([]*corev1.Pod, error) {
		stays := func(pod *corev1.Pod) bool { return !h.index.Leaving(pod) }
		pods, err := list(node, podutil.WrapFilterFuncs(stays, filter))
		if err != nil {
			return nil, err
		}
		for _, m := range h.index.Onto(node) {
			if pod := h.expected(m, node); pod != nil && (filter == nil || filter(pod)) {
				pods = append(pods, pod)
			}
		}
		return pods, nil
	}
}

// expected is the pod that the Migration will bring to the node; nil when the target pod is there already and is seen
// as itself, or the source is unknown.
func (h *handle) expected(m *v1alpha1.Migration, node string) *corev1.Pod {
	pods := h.SharedInformerFactory().Core().V1().Pods().Lister().Pods(m.Namespace)
	if target := m.Status.Target.Pod; target != "" {
		if pod, err := pods.Get(target); err == nil && pod.Spec.NodeName == node {
			return nil
		}
	}
	source, err := pods.Get(m.Spec.Pod.Name)
	if err != nil || (m.Spec.Pod.UID != "" && source.UID != m.Spec.Pod.UID) || source.Spec.NodeName == node {
		return nil
	}
	pod := source.DeepCopy()
	pod.Spec.NodeName = node
	return pod
}

// evictor keeps pods that move from being chosen again, and marks those that a Migration moves for the pod evictor.
type evictor struct {
	frameworktypes.Evictor
	index *moves.Index
}

func (e *evictor) settled(pod *corev1.Pod) bool {
	return !e.index.Leaving(pod) && !e.index.Arriving(pod)
}

// Filter implements frameworktypes.Evictor.
func (e *evictor) Filter(pod *corev1.Pod) bool { return e.settled(pod) && e.Evictor.Filter(pod) }

// PreEvictionFilter implements frameworktypes.Evictor.
func (e *evictor) PreEvictionFilter(pod *corev1.Pod) bool {
	return e.settled(pod) && e.Evictor.PreEvictionFilter(pod)
}

// Evict implements frameworktypes.Evictor. The pod evictor treats an eviction as one in the background only when the
// pod says so, hence the marked copy.
func (e *evictor) Evict(ctx context.Context, pod *corev1.Pod, opts evictions.EvictOptions) error {
	if moves.Migratable(pod) {
		ctx = withCandidate(ctx, candidate{uid: pod.UID, strategy: opts.StrategyName})
		pod = pod.DeepCopy()
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[evictions.EvictionRequestAnnotationKey] = ""
	}
	return e.Evictor.Evict(ctx, pod, opts)
}
