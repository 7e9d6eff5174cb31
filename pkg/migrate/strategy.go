package migrate

import (
	"context"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// A step is one line of a strategy.
type step struct {
	// name is a verb, for the timeline, metrics and events.
	name string
	// condition of the Migration that tells whether the step is done: Unknown under way, True done, False undone.
	condition string
	// phase of MS2M that the step belongs to.
	phase v1alpha1.Phase
	// do returns a positive duration to be called again after it, zero when the step is done. An error that is a
	// *failure rolls the migration back; any other is tried again.
	do func(ctx context.Context, r *run) (time.Duration, error)
	// undo takes back whatever do may have done, even half; nil when another step's undo covers it. It returns like do.
	undo func(ctx context.Context, r *run) (time.Duration, error)
}

// Conditions of the steps, and of the migration as a whole.
const (
	conditionAccepted    = "Accepted"
	conditionTarget      = "TargetScheduled"
	conditionTicket      = "TicketIssued"
	conditionMarked      = "SourceMarked"
	conditionCheckpoint  = "Checkpointed"
	conditionTransfer    = "Transferred"
	conditionRestore     = "Restored"
	conditionReplay      = "CaughtUp"
	conditionHandOver    = "HandedOver"
	conditionCommit      = "Committed"
	conditionActive      = "TargetActive"
	conditionAdopted     = "Adopted"
	conditionSourceGone  = "SourceDeleted"
	conditionCleaned     = "Cleaned"
	conditionRollingBack = "RollingBack"
)

// shadow is the strategy for pods whose name nobody holds: bare pods and those of a ReplicaSet. The target is scheduled
// before the source is touched, so that a cluster without room costs the source nothing, and its sandbox is made while
// the checkpoint is taken.
var shadow = []step{
	{name: "schedule target", condition: conditionTarget, phase: v1alpha1.PhasePending, do: scheduleTarget, undo: deleteTarget},
	{name: "issue ticket", condition: conditionTicket, phase: v1alpha1.PhasePending, do: issueTickets, undo: deleteTickets},
	{name: "mark source", condition: conditionMarked, phase: v1alpha1.PhasePending, do: markSource, undo: unmarkSource},
	{name: "checkpoint", condition: conditionCheckpoint, phase: v1alpha1.PhaseCheckpointing, do: checkpoint, undo: resumeSource},
	{name: "transfer", condition: conditionTransfer, phase: v1alpha1.PhaseTransferring, do: transfer},
	{name: "restore", condition: conditionRestore, phase: v1alpha1.PhaseRestoring, do: awaitRestore},
	{name: "replay", condition: conditionReplay, phase: v1alpha1.PhaseReplaying, do: awaitReplay},
	{name: "hand over", condition: conditionHandOver, phase: v1alpha1.PhaseFinalizing, do: handOver, undo: resumeSource},
	{name: "commit", condition: conditionCommit, phase: v1alpha1.PhaseFinalizing, do: commit},
	{name: "activate target", condition: conditionActive, phase: v1alpha1.PhaseFinalizing, do: activateTarget},
	{name: "adopt target", condition: conditionAdopted, phase: v1alpha1.PhaseFinalizing, do: adoptTarget},
	{name: "delete source", condition: conditionSourceGone, phase: v1alpha1.PhaseFinalizing, do: deleteSource},
	{name: "clean up", condition: conditionCleaned, phase: v1alpha1.PhaseFinalizing, do: cleanUp},
}

// strategies by the name that the status records.
var strategies = map[v1alpha1.Strategy][]step{v1alpha1.StrategyShadow: shadow}
