package v1alpha1

import "k8s.io/apimachinery/pkg/types"

// SourceUID is the UID of the pod to be moved: that which was found, or else that which was asked for, if it was named.
func (m *Migration) SourceUID() types.UID {
	if m.Status.Source.UID != "" {
		return m.Status.Source.UID
	}
	return m.Spec.Pod.UID
}

// TargetNode is the node that was chosen, or else that which was asked for, if one was.
func (m *Migration) TargetNode() string {
	if m.Status.Target.Node != "" {
		return m.Status.Target.Node
	}
	return m.Spec.TargetNode
}
