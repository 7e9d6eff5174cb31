package moves

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/descheduler/pkg/descheduler/evictions"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"
)

// Round of one plugin in one cycle: it asks for migrations as long as the policy's limits allow.
type Round struct {
	evictor frameworktypes.Evictor
	plugin  string
	// full nodes have reached their limit; over is set when the cycle has.
	full sets.Set[string]
	over bool
}

// NewRound of a plugin.
func NewRound(evictor frameworktypes.Evictor, plugin string) *Round {
	return &Round{evictor: evictor, plugin: plugin, full: sets.New[string]()}
}

// Ask for the migration of a pod. What a limit leaves to a later cycle is neither asked for nor an error.
func (r *Round) Ask(ctx context.Context, pod *corev1.Pod) (asked bool, err error) {
	if r.over || r.full.Has(pod.Spec.NodeName) {
		return false, nil
	}
	err = r.evictor.Evict(ctx, pod, evictions.EvictOptions{StrategyName: r.plugin})
	var (
		total     *evictions.EvictionTotalLimitError
		node      *evictions.EvictionNodeLimitError
		namespace *evictions.EvictionNamespaceLimitError
	)
	switch {
	case errors.As(err, &total):
		r.over = true
	case errors.As(err, &node):
		r.full.Insert(pod.Spec.NodeName)
	case errors.As(err, &namespace):
	default:
		return err == nil, err
	}
	return false, nil
}
