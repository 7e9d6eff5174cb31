package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MigrationPolicy says how and when pods are migrated. It is not a resource of the API server: it lives in the key
// "migration.yaml" of the policy ConfigMap, beside the descheduler's own policy.
//
// +kubebuilder:object:root=true
type MigrationPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// Strategy of the migrations that the descheduler asks for. Default Auto.
	Strategy Strategy `json:"strategy,omitempty"`
	// Cutoff of these migrations. Defaults: maxReplay 10s, deadline 2m.
	Cutoff Cutoff `json:"cutoff,omitempty"`
	// MaxPause of these migrations at the hand-over. Default 1s.
	MaxPause metav1.Duration `json:"maxPause,omitempty"`
	// Cooldown after a migration that failed or was rolled back, in which the descheduler does not try to move the
	// same pod again. Default 5m.
	Cooldown metav1.Duration `json:"cooldown,omitempty"`
	// Interval between two cycles of the descheduler. Default 1m.
	Interval metav1.Duration `json:"interval,omitempty"`
	// DryRun lets the descheduler decide and report, but neither migrate nor evict. Default false.
	DryRun bool `json:"dryRun,omitempty"`
}

// MigrationPolicyKind is the kind that a policy document names.
const MigrationPolicyKind = "MigrationPolicy"

// What concerns the descheduler's policy in the cluster.
const (
	// PolicyConfigMap is the default name of the ConfigMap that holds the policy.
	PolicyConfigMap = "ms2m-policy"
	// PolicyKeyDescheduler is its key of the DeschedulerPolicy, in the descheduler's own format.
	PolicyKeyDescheduler = "descheduler.yaml"
	// PolicyKeyMigration is its key of the MigrationPolicy.
	PolicyKeyMigration = "migration.yaml"
)
