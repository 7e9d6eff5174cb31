package fcc

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

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
	// ContainerID is the runtime's name of the container that took the ticket, from TicketRestoring on.
	ContainerID string `json:"containerID,omitempty"`
	// Restored is when the container stood restored. It stays when the ticket fails afterwards: only a ticket that has
	// it may be committed.
	Restored *time.Time `json:"restored,omitempty"`
}

// Errors of the ticket store.
var (
	ErrNoTicket  = errors.New("no restore ticket")
	ErrState     = errors.New("restore ticket is in the wrong state")
	ErrMigration = errors.New("ticket belongs to another migration")
	// ErrBusy: the ticket's taker is alive and at work.
	ErrBusy = errors.New("ticket is being restored")
)

var (
	identifier = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]{0,126}[a-zA-Z0-9])?$`)
	dnsLabel   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// CheckIDs refuses UIDs that are not made of letters, digits and dashes: they become names of folders.
func CheckIDs(ids ...string) error {
	for _, id := range ids {
		if !identifier.MatchString(id) {
			return fmt.Errorf("%q is no UID", id)
		}
	}
	return nil
}

// CheckContainer refuses what is no name of a container: it becomes the name of a folder.
func CheckContainer(name string) error {
	if !dnsLabel.MatchString(name) {
		return fmt.Errorf("%q is no name of a container", name)
	}
	return nil
}

// order of the states of a ticket that does not fail.
var order = map[TicketState]int{
	TicketExpected: 0, TicketReady: 1, TicketRestoring: 2, TicketRestored: 3, TicketCommitted: 4,
}

// move changes the state of the ticket, one step down the list or to failed.
func (t *Ticket) move(to TicketState) error {
	switch {
	case to == TicketFailed && t.State != TicketCommitted && t.State != TicketFailed:
	case to == TicketCommitted && t.State == TicketFailed && t.Restored != nil:
		// The restored container ended between the migration's commit and the ticket's: there is only forward.
		t.Reason = ""
	case t.State != TicketFailed && to != TicketFailed && order[to] == order[t.State]+1:
	default:
		return fmt.Errorf("%w: that of container %s cannot go from %s to %s", ErrState, t.Container, t.State, to)
	}
	t.State, t.Changed = to, time.Now()
	return nil
}
