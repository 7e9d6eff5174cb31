package migrateunderload

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/descheduler/pkg/api"
)

// +k8s:deepcopy-gen=true
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// MigrateUnderLoadArgs holds arguments used to configure the MigrateUnderLoad plugin.
type MigrateUnderLoadArgs struct {
	metav1.TypeMeta `json:",inline"`

	// Thresholds, in percent of what a node can allocate, per resource. A node above any of them is to be relieved.
	Thresholds api.ResourceThresholds `json:"thresholds"`
	// Margin below the thresholds, in percentage points, down to which nodes are relieved and up to which others are
	// filled. Default 5.
	Margin *api.Percentage `json:"margin,omitempty"`
	// Cycles in a row in which a node must be above a threshold before it is relieved, and for which it is left alone
	// after a move. Default 3.
	Cycles *int `json:"cycles,omitempty"`
	// MetricsUtilization takes measured usage in place of requests.
	MetricsUtilization *MetricsUtilization `json:"metricsUtilization,omitempty"`
	// EvictableNamespaces to leave out when pods are chosen; their pods count as load all the same.
	EvictableNamespaces *api.Namespaces `json:"evictableNamespaces,omitempty"`
}

// MetricsUtilization says where measured usage comes from. The policy's metricsProviders must have the source.
//
// +k8s:deepcopy-gen=true
type MetricsUtilization struct {
	// Source: KubernetesMetrics or Prometheus.
	Source api.MetricsSource `json:"source"`
	// Prometheus queries, for that source.
	Prometheus *Prometheus `json:"prometheus,omitempty"`
}

// Prometheus holds queries that return a vector of samples from 0 to 1, each labelled with what it is about in
// "instance".
//
// +k8s:deepcopy-gen=true
type Prometheus struct {
	// Query of nodes' usage; "instance" is the node's name.
	Query string `json:"query"`
	// PodQuery of pods' parts in the usage of their nodes; "instance" is namespace/name.
	PodQuery string `json:"podQuery"`
}
