package fcc

import "time"

// TicketState of a restore. A ticket only ever moves down this list, or to TicketFailed.
type TicketState string

// Ticket states.
const (
	TicketExpected  TicketState = "expected"  // the archive will come
	TicketReady     TicketState = "ready"     // the archive lies unpacked and verified
	TicketRestoring TicketState = "restoring" // the wrapper has taken it; nobody else may
	TicketRestored  TicketState = "restored"  // the container runs from the checkpoint
	TicketCommitted TicketState = "committed" // the checkpoint is consumed: a later crash starts the image afresh
	TicketFailed    TicketState = "failed"    // the container will never start; see Reason
)

// Ticket entitles the wrapper to restore one container of one pod, once. It is bound to the pod's UID, which nobody who
// may write pods can forge.
type Ticket struct {
	Migration string      `json:"migration"`
	PodUID    string      `json:"podUID"`
	Container string      `json:"container"`
	State     TicketState `json:"state"`
	// Reason of a failure, for people: with the lines of CRIU's log that tell the cause.
	Reason string `json:"reason,omitempty"`
	// Digest of the archive, sha256, from TicketReady on.
	Digest string `json:"digest,omitempty"`
	// Bytes of the archive, from TicketReady on.
	Bytes   int64     `json:"bytes,omitempty"`
	Changed time.Time `json:"changed"`
}
