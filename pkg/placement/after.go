package placement

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// After returns the pods as they will be when the migrations that have not ended are done: a pod that moves is no longer
// on its node, and if the pod that takes its place is not yet on the target node, a copy of it is there.
func After(pods []*corev1.Pod, migrations []*v1alpha1.Migration) []*corev1.Pod {
	byUID := make(map[types.UID]*corev1.Pod, len(pods))
	for _, p := range pods {
		byUID[p.UID] = p
	}
	leaving := sets.New[types.UID]()
	var expected []*corev1.Pod
	for _, m := range migrations {
		source := byUID[m.SourceUID()]
		if m.Status.Phase.Ended() || source == nil {
			continue
		}
		leaving.Insert(source.UID)
		if target := byUID[m.Status.Target.UID]; target != nil && target.Spec.NodeName != "" {
			continue
		}
		if node := m.TargetNode(); node != "" {
			pod := source.DeepCopy()
			pod.Spec.NodeName = node
			pod.UID = source.UID + "-expected"
			expected = append(expected, pod)
		}
	}
	var after []*corev1.Pod
	for _, p := range pods {
		if !leaving.Has(p.UID) && p.Spec.NodeName != "" && !ended(p) {
			after = append(after, p)
		}
	}
	return append(after, expected...)
}

// ended pods take up nothing of their node any more.
func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}
