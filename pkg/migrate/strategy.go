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
	// commits: the condition of this step, once true, is the point of no return of its leg.
	commits bool
}

// A leg moves the state once. Until its commit it can be undone as a whole, from the bottom up. The first leg is undone
// for good; a further one is tried again, since the state has left its origin.
type leg []step

// Conditions of the steps, and of the migration as a whole.
const (
	conditionAccepted    = "Accepted"
	conditionTarget      = "TargetScheduled"
	conditionTicket      = "TicketIssued"
	conditionMarked      = "SourceMarked"
	conditionGuarded     = "SourceGuarded"
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
	conditionTurned      = "Turned"
	conditionSuccessor   = "SuccessorScheduled"
	conditionRollingBack = "RollingBack"
)

// The steps of which strategies are made.
var (
	scheduling    = step{name: "schedule target", condition: conditionTarget, phase: v1alpha1.PhasePending, do: scheduleTarget, undo: deleteTarget}
	ticketing     = step{name: "issue ticket", condition: conditionTicket, phase: v1alpha1.PhasePending, do: issueTickets, undo: deleteTickets}
	marking       = step{name: "mark source", condition: conditionMarked, phase: v1alpha1.PhasePending, do: markSource, undo: unmarkSource}
	guarding      = step{name: "guard source", condition: conditionGuarded, phase: v1alpha1.PhasePending, do: guardSource, undo: unguardSource}
	checkpointing = step{name: "checkpoint", condition: conditionCheckpoint, phase: v1alpha1.PhaseCheckpointing, do: checkpoint, undo: resumeSource}
	transferring  = step{name: "transfer", condition: conditionTransfer, phase: v1alpha1.PhaseTransferring, do: transfer}
	restoring     = step{name: "restore", condition: conditionRestore, phase: v1alpha1.PhaseRestoring, do: awaitRestore}
	replaying     = step{name: "replay", condition: conditionReplay, phase: v1alpha1.PhaseReplaying, do: awaitReplay}
	handingOver   = step{name: "hand over", condition: conditionHandOver, phase: v1alpha1.PhaseFinalizing, do: handOver, undo: resumeSource}
	committing    = step{name: "commit", condition: conditionCommit, phase: v1alpha1.PhaseFinalizing, do: commit, commits: true}
	standingIn    = step{name: "commit", condition: conditionCommit, phase: v1alpha1.PhaseFinalizing, do: commitToStandIn, commits: true}
	returning     = step{name: "commit", condition: conditionCommit, phase: v1alpha1.PhaseFinalizing, do: commitToSuccessor, commits: true}
	activating    = step{name: "activate target", condition: conditionActive, phase: v1alpha1.PhaseFinalizing, do: activateTarget}
	adopting      = step{name: "adopt target", condition: conditionAdopted, phase: v1alpha1.PhaseFinalizing, do: adoptTarget}
	deleting      = step{name: "delete source", condition: conditionSourceGone, phase: v1alpha1.PhaseFinalizing, do: deleteSource}
	cleaning      = step{name: "clean up", condition: conditionCleaned, phase: v1alpha1.PhaseFinalizing, do: cleanUp}
	turning       = step{name: "turn", condition: conditionTurned, phase: v1alpha1.PhaseFinalizing, do: turn}
	succeeding    = step{name: "await successor", condition: conditionSuccessor, phase: v1alpha1.PhaseRestoring, do: awaitSuccessor, undo: deleteSuccessor}
)

// shadow is the strategy for pods whose name nobody holds: bare pods and those of a ReplicaSet. The target is scheduled
// before the source is touched, so that a cluster without room costs the source nothing, and its sandbox is made while
// the checkpoint is taken.
var shadow = []leg{{
	scheduling, ticketing, marking, checkpointing, transferring, restoring, replaying, handingOver, committing, activating,
	adopting, deleting, cleaning,
}}

// identitySwap is the strategy for pods of a StatefulSet, whose name only one pod can have. The state moves to a stand-in
// on the target node; the set makes its pod again, on that node and closed; the state moves into it. The set sees one of
// its pods deleted and made again, and is neither scaled nor rolled.
var identitySwap = []leg{
	{
		scheduling, ticketing, guarding, checkpointing, transferring, restoring, replaying, handingOver, standingIn,
		activating, deleting, cleaning, turning,
	},
	onReturn(succeeding, ticketing, checkpointing, transferring, restoring, replaying, handingOver, returning, activating,
		deleting, cleaning),
}

// strategies by the name that the status records.
var strategies = map[v1alpha1.Strategy][]leg{
	v1alpha1.StrategyShadow:       shadow,
	v1alpha1.StrategyIdentitySwap: identitySwap,
}

// onReturn makes steps those of a second leg, with conditions of their own.
func onReturn(steps ...step) leg {
	for i := range steps {
		steps[i].condition = "Return" + steps[i].condition
	}
	return steps
}
