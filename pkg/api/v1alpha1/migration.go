package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Migration moves one pod, with its memory and exact in messages, to another node.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mig,categories=all
// +kubebuilder:printcolumn:name="Pod",type=string,JSONPath=`.spec.pod.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="From",type=string,JSONPath=`.status.source.node`
// +kubebuilder:printcolumn:name="To",type=string,JSONPath=`.status.target.node`
// +kubebuilder:printcolumn:name="Pause",type=integer,JSONPath=`.status.pauseMillis`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Migration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the spec of a migration cannot be changed; create another one"
	Spec   MigrationSpec   `json:"spec"`
	Status MigrationStatus `json:"status,omitempty"`
}

// MigrationList is a list of Migrations.
//
// +kubebuilder:object:root=true
type MigrationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Migration `json:"items"`
}

// MigrationSpec says which pod goes where, and how.
type MigrationSpec struct {
	// Pod to migrate, of the Migration's namespace.
	Pod PodReference `json:"pod"`
	// TargetNode to move to. Empty: the scheduler chooses among all nodes but the source's.
	// +optional
	TargetNode string `json:"targetNode,omitempty"`
	// Strategy that moves the pod.
	// +kubebuilder:default=Auto
	// +optional
	Strategy Strategy `json:"strategy,omitempty"`
	// Cutoff bounds the replay.
	// +kubebuilder:default={}
	// +optional
	Cutoff Cutoff `json:"cutoff,omitzero"`
	// MaxPause is the longest time in which no instance may process messages at the hand-over: the final hold comes
	// when the rest of the log can be replayed within it.
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="must be longer than 0s"
	// +optional
	MaxPause metav1.Duration `json:"maxPause,omitzero"`
	// Reason that the migration was asked for, for people: the strategy of the descheduler, "Drain", "Manual".
	// +optional
	Reason string `json:"reason,omitempty"`
}

// PodReference names one pod. The UID keeps a migration from moving a pod that took the name later.
type PodReference struct {
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// UID of the pod. Empty: the pod that has the name when the migration starts.
	// +optional
	UID types.UID `json:"uid,omitempty"`
}

// Strategy names an ordered list of steps.
//
// +kubebuilder:validation:Enum=Auto;Shadow;IdentitySwap
type Strategy string

// Strategies.
const (
	// StrategyAuto lets the owner of the pod decide.
	StrategyAuto Strategy = "Auto"
	// StrategyShadow restores beside the source; for bare pods and those of Deployments.
	StrategyShadow Strategy = "Shadow"
	// StrategyIdentitySwap is for pods of StatefulSets: the state moves to a stand-in on the target node, the set makes
	// its pod again beside it, and the state moves into that, which has the name it had.
	StrategyIdentitySwap Strategy = "IdentitySwap"
)

// Cutoff is the threshold-based cutoff of MS2M (Dinh-Tuan and Jiang 2025, section on the cutoff mechanism).
type Cutoff struct {
	// MaxReplay bounds the time that the target may need to replay the log; accumulation stops after
	// T_cutoff = MaxReplay·μ/λ.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="must be longer than 0s"
	// +optional
	MaxReplay metav1.Duration `json:"maxReplay,omitzero"`
	// Deadline for the whole migration up to the commit; past it the migration rolls back.
	// +kubebuilder:default="2m"
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="must be longer than 0s"
	// +optional
	Deadline metav1.Duration `json:"deadline,omitzero"`
}

// Phase is derived from the conditions, for people and dashboards; nothing decides by it.
//
// +kubebuilder:validation:Enum=Pending;Checkpointing;Transferring;Restoring;Replaying;Finalizing;Succeeded;RolledBack;Failed
type Phase string

// Phases. The five between Pending and Succeeded are those of MS2M.
const (
	PhasePending       Phase = "Pending"
	PhaseCheckpointing Phase = "Checkpointing"
	PhaseTransferring  Phase = "Transferring"
	PhaseRestoring     Phase = "Restoring"
	PhaseReplaying     Phase = "Replaying"
	PhaseFinalizing    Phase = "Finalizing"
	PhaseSucceeded     Phase = "Succeeded"
	// PhaseRolledBack: something failed before the commit, everything was undone, the source goes on.
	PhaseRolledBack Phase = "RolledBack"
	// PhaseFailed: refused before anything was touched; or somebody deleted the stand-in that held the state.
	PhaseFailed Phase = "Failed"
)

// Ended reports whether nothing will happen any more.
func (p Phase) Ended() bool {
	return p == PhaseSucceeded || p == PhaseRolledBack || p == PhaseFailed
}

// MigrationStatus is the only memory of a migration: a restarted controller goes on from it.
type MigrationStatus struct {
	// Phase derived from the conditions.
	// +kubebuilder:default=Pending
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Message for people: what is waited for, or why it ended as it did.
	// +optional
	Message string `json:"message,omitempty"`
	// Conditions, one per step; their status is the truth about the step.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Epoch orders the commands to gates: 1 until the point of no return, 2 after the commit or the decision to roll
	// back. A gate refuses commands of an epoch lower than the last it obeyed.
	// +optional
	Epoch int64 `json:"epoch,omitempty"`
	// Source is the pod that is moved: the one that the migration names, and on the second leg its stand-in.
	// +optional
	Source Instance `json:"source,omitempty"`
	// Target is the pod that takes over from the source.
	// +optional
	Target Instance `json:"target,omitempty"`
	// Origin is the pod of a StatefulSet as it was before the migration.
	// +optional
	Origin *Origin `json:"origin,omitempty"`
	// StandIn is the active instance while its set's pod is missing or not yet the one that has the state. While it is
	// set, a pod that the set makes under that name starts closed, on the stand-in's node.
	// +optional
	StandIn *Instance `json:"standIn,omitempty"`
	// Leg counts the moves of the state: 0 is the one to the target or the stand-in, each further one a try to move it
	// from the stand-in into the pod that the set has made again.
	// +optional
	Leg int32 `json:"leg,omitempty"`
	// Containers that are checkpointed and restored.
	// +optional
	Containers []string `json:"containers,omitempty"`
	// Strategy that was chosen.
	// +optional
	Strategy Strategy `json:"strategy,omitempty"`
	// Cut is the hold under which the checkpoint was taken.
	// +optional
	Cut *CutStatus `json:"cut,omitempty"`
	// HandOverHeldSince is when the source stood still for the hand-over.
	// +optional
	HandOverHeldSince *metav1.MicroTime `json:"handOverHeldSince,omitempty"`
	// Checkpoint that was taken of the source.
	// +optional
	Checkpoint *CheckpointStatus `json:"checkpoint,omitempty"`
	// Replay progress.
	// +optional
	Replay *ReplayStatus `json:"replay,omitempty"`
	// PauseMillis is the measured length, in milliseconds, of the longest of the two holds.
	// +optional
	PauseMillis int64 `json:"pauseMillis,omitempty"`
	// StartTime of the first step.
	// +optional
	StartTime *metav1.MicroTime `json:"startTime,omitempty"`
	// CompletionTime of the last step.
	// +optional
	CompletionTime *metav1.MicroTime `json:"completionTime,omitempty"`
	// Timeline of the steps as they were done or undone.
	// +optional
	Timeline []StepTime `json:"timeline,omitempty"`
}

// Instance is one of the two pods of a migration.
type Instance struct {
	// +optional
	Pod string `json:"pod,omitempty"`
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// +optional
	Node string `json:"node,omitempty"`
	// TemplateHash by which the ReplicaSet of the source selects its pods.
	// +optional
	TemplateHash string `json:"templateHash,omitempty"`
	// DeletionCost that the pod's ReplicaSet is told in an annotation, by the user.
	// +optional
	DeletionCost *string `json:"deletionCost,omitempty"`
}

// Origin is a pod of a StatefulSet, with what tells whether the set still wants the same pod.
type Origin struct {
	Instance `json:",inline"`
	// Set and its UID.
	Set    string    `json:"set"`
	SetUID types.UID `json:"setUID"`
	// Revision of the set's template that the pod was made from.
	Revision string `json:"revision"`
}

// CutStatus is a cut token as the source's gate gave it.
type CutStatus struct {
	Token string `json:"token"`
	// HeldSince is when the app stood between two messages.
	HeldSince metav1.MicroTime `json:"heldSince"`
	// Expires is when the token becomes void by itself.
	Expires metav1.MicroTime `json:"expires"`
	// Released is when the source went on, logging.
	// +optional
	Released *metav1.MicroTime `json:"released,omitempty"`
}

// CheckpointStatus describes a checkpoint archive.
type CheckpointStatus struct {
	// ArchiveBytes is the size of the archive, all containers together.
	ArchiveBytes int64 `json:"archiveBytes"`
	// Digest of the delivered archive, sha256.
	// +optional
	Digest string `json:"digest,omitempty"`
}

// ReplayStatus counts messages. Rates are in thousandths of a message per second, since the API avoids floats.
type ReplayStatus struct {
	// Logged entries appended by the source's gate since the cut.
	Logged int64 `json:"logged"`
	// Replayed entries that the target has processed.
	Replayed int64 `json:"replayed"`
	// Suppressed outputs of the target that the source had already published.
	Suppressed int64 `json:"suppressed"`
	// LambdaMilli is the log's append rate.
	LambdaMilli int64 `json:"lambdaMilli"`
	// MuMilli is the service rate.
	MuMilli int64 `json:"muMilli"`
	// CutoffMillis is T_cutoff, the time in milliseconds after which accumulation must stop.
	// +optional
	CutoffMillis int64 `json:"cutoffMillis,omitempty"`
}

// StepTime is one step's stay.
type StepTime struct {
	Step string `json:"step"`
	// Phase of MS2M that the step belongs to.
	// +optional
	Phase Phase            `json:"phase,omitempty"`
	Start metav1.MicroTime `json:"start"`
	// +optional
	End *metav1.MicroTime `json:"end,omitempty"`
	// Undone is set for the undo of a step.
	// +optional
	Undone bool `json:"undone,omitempty"`
}
