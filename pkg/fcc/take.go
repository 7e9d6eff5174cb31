package fcc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Reasons of failed tickets.
const (
	reasonEnded     = "the restored container ended before the commit"
	reasonKilled    = "the runtime wrapper died while it restored the container"
	reasonWithdrawn = "the ticket was withdrawn: the migration was rolled back"
)

// Taken is a ticket whose restore is under way in this process. The process's death leaves it restoring, and the next
// taker fails it.
type Taken struct {
	Ticket
	store *Store
	lock  *os.File
}

// Take begins the one restore of a ready ticket. It fails with ErrNoTicket or ErrState while the archive has not come,
// with ErrBusy while another taker is at work. A ticket that was taken before and is not committed is failed here: its
// container has ended, or its taker has died.
func (s *Store) Take(podUID, container, containerID string) (*Taken, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, err := s.Get(podUID, container)
	if err != nil {
		return nil, err
	}
	lock, err := flock(filepath.Join(s.Folder(podUID, container), takerLock), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("taking ticket of container %s: container %s takes it: %w", container, t.ContainerID, ErrBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("taking ticket: %w", err)
	}
	taken := &Taken{Ticket: t, store: s, lock: lock}
	if err := taken.begin(containerID); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return taken, nil
}

// begin writes down that the ticket is taken, under the store's lock.
func (t *Taken) begin(containerID string) error {
	switch t.State {
	case TicketReady:
		t.ContainerID = containerID
		if err := t.move(TicketRestoring); err != nil {
			return err
		}
		return t.store.write(t.Ticket)
	case TicketRestoring, TicketRestored:
		t.Reason = reasonKilled
		if t.State == TicketRestored {
			t.Reason = reasonEnded
		}
		if err := t.move(TicketFailed); err != nil {
			return err
		}
		return errors.Join(t.store.write(t.Ticket), t.refusal())
	default:
		return t.refusal()
	}
}

// refusal is the error with which a ticket in its present state cannot be taken.
func (t *Taken) refusal() error {
	if t.State == TicketFailed {
		return fmt.Errorf("%w: container %s will not start, because its restore failed: %s", ErrState, t.Container, t.Reason)
	}
	return fmt.Errorf("%w: that of container %s is %s", ErrState, t.Container, t.State)
}

// Done ends the restore: the container stands restored.
func (t *Taken) Done() error {
	defer t.lock.Close() //nolint:errcheck // nothing was written to it
	_, err := t.store.change(t.PodUID, t.Container, TicketRestored, func(x *Ticket) error {
		now := time.Now()
		x.Restored = &now
		return nil
	})
	return err
}

// Fail ends the restore: the container will never start.
func (t *Taken) Fail(reason string) error {
	defer t.lock.Close() //nolint:errcheck // nothing was written to it
	_, err := t.store.Fail(t.PodUID, t.Container, reason)
	return err
}
