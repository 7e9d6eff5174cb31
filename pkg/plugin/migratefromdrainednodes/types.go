package migratefromdrainednodes

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/descheduler/pkg/api"
)

// +k8s:deepcopy-gen=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigrateFromDrainedNodesArgs holds arguments used to configure the MigrateFromDrainedNodes plugin.
type MigrateFromDrainedNodesArgs struct {
	metav1.TypeMeta `json:",inline"`

	// Namespaces whose pods are migrated and reported; all when nil.
	Namespaces *api.Namespaces `json:"namespaces,omitempty"`
	// LabelSelector of these pods; all when nil.
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// Cordoned nodes are drained ones. Default true.
	Cordoned *bool `json:"cordoned,omitempty"`
	// Taints, as key or key=value and of any effect, whose nodes are drained ones. Default: those of cluster-autoscaler
	// and Karpenter for nodes that they remove.
	Taints []string `json:"taints,omitempty"`
}
