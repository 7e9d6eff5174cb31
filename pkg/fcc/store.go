package fcc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Names inside a ticket's folder.
const (
	ticketFile  = "ticket.json"
	takerLock   = "taker.lock"
	archiveName = "archive"
	workName    = "work"
)

// Store keeps a node's tickets in files, which agent and wrapper share. Every change holds one lock of the whole store
// and replaces the file as a whole, so that a reader sees the old ticket or the new one.
type Store struct{ folder string }

// NewStore returns the store in the node folder root; it needs nothing to exist yet.
func NewStore(root string) *Store { return &Store{folder: filepath.Join(root, "tickets")} }

// Folder of a ticket.
func (s *Store) Folder(podUID, container string) string {
	return filepath.Join(s.folder, podUID, container)
}

// Archive is the folder where a ready ticket's archive lies unpacked.
func (s *Store) Archive(podUID, container string) string {
	return filepath.Join(s.Folder(podUID, container), archiveName)
}

// Work is CRIU's folder for logs of the restore.
func (s *Store) Work(podUID, container string) string {
	return filepath.Join(s.Folder(podUID, container), workName)
}

// Put makes an expected ticket. Asked again for the same migration it returns the ticket as it is; a ticket of another
// migration is an ErrMigration, because a pod is restored at most once in its life.
func (s *Store) Put(migration, podUID, container string) (Ticket, error) {
	if err := errors.Join(CheckIDs(migration, podUID), CheckContainer(container)); err != nil {
		return Ticket{}, fmt.Errorf("making ticket: %w", err)
	}
	unlock, err := s.lock()
	if err != nil {
		return Ticket{}, err
	}
	defer unlock()
	old, err := s.Get(podUID, container)
	switch {
	case err == nil && old.Migration == migration:
		return old, nil
	case err == nil:
		return old, fmt.Errorf("making ticket of container %s: migration %s has one: %w", container, old.Migration, ErrMigration)
	case !errors.Is(err, ErrNoTicket):
		return Ticket{}, err
	}
	if err := os.MkdirAll(s.Folder(podUID, container), 0o700); err != nil {
		return Ticket{}, fmt.Errorf("making ticket: %w", err)
	}
	t := Ticket{Migration: migration, PodUID: podUID, Container: container, State: TicketExpected, Changed: time.Now()}
	return t, s.write(t)
}

// Get reads a ticket. It fails with ErrNoTicket when there is none.
func (s *Store) Get(podUID, container string) (Ticket, error) {
	if err := errors.Join(CheckIDs(podUID), CheckContainer(container)); err != nil {
		return Ticket{}, fmt.Errorf("reading ticket: %w", err)
	}
	var t Ticket
	b, err := os.ReadFile(filepath.Join(s.Folder(podUID, container), ticketFile))
	if errors.Is(err, fs.ErrNotExist) {
		return t, fmt.Errorf("reading ticket of container %s of pod %s: %w", container, podUID, ErrNoTicket)
	}
	if err != nil {
		return t, fmt.Errorf("reading ticket: %w", err)
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("decoding ticket of container %s of pod %s: %w", container, podUID, err)
	}
	if t.PodUID != podUID || t.Container != container {
		return t, fmt.Errorf("reading ticket: it names container %s of pod %s, its folder %s of %s", t.Container, t.PodUID, container, podUID)
	}
	return t, nil
}

// Ready moves an expected ticket of the migration on when unpacked, a folder inside the ticket's, holds the archive.
func (s *Store) Ready(migration, podUID, container, unpacked, digest string, bytes int64) (Ticket, error) {
	return s.change(podUID, container, TicketReady, func(t *Ticket) error {
		if t.Migration != migration {
			return fmt.Errorf("finishing delivery: ticket of migration %s: %w", t.Migration, ErrMigration)
		}
		t.Digest, t.Bytes = digest, bytes
		archive := s.Archive(podUID, container)
		if err := os.RemoveAll(archive); err != nil {
			return fmt.Errorf("removing older archive: %w", err)
		}
		if err := os.Rename(unpacked, archive); err != nil {
			return fmt.Errorf("placing archive: %w", err)
		}
		return nil
	})
}

// Commit consumes the checkpoint: from here on a crash starts the container's image afresh. It may be repeated.
func (s *Store) Commit(podUID, container string) (Ticket, error) {
	t, err := s.change(podUID, container, TicketCommitted, nil)
	if errors.Is(err, ErrState) && t.State == TicketCommitted {
		err = nil
	}
	if err == nil {
		err = s.Wipe(podUID, container)
	}
	return t, err
}

// Fail keeps the container of a ticket from ever starting. A committed ticket is left as it is, with ErrState.
func (s *Store) Fail(podUID, container, reason string) (Ticket, error) {
	return s.change(podUID, container, TicketFailed, func(t *Ticket) error {
		t.Reason = reason
		return nil
	})
}

// Withdraw wipes a ticket's archive and fails the ticket, or makes a failed one: a wrapper that waits for it, or comes
// for it later, learns at once that it waits in vain, and the pod can end. A committed ticket stays committed, since its
// container may start again.
func (s *Store) Withdraw(podUID, container string) error {
	if err := errors.Join(CheckIDs(podUID), CheckContainer(container)); err != nil {
		return fmt.Errorf("withdrawing ticket: %w", err)
	}
	_, err := s.Fail(podUID, container, reasonWithdrawn)
	if errors.Is(err, ErrNoTicket) {
		err = s.putFailed(podUID, container)
	}
	if err != nil && !errors.Is(err, ErrState) {
		return err
	}
	return s.Wipe(podUID, container)
}

// putFailed makes a ticket that has failed before it was given.
func (s *Store) putFailed(podUID, container string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(s.Folder(podUID, container), 0o700); err != nil {
		return fmt.Errorf("withdrawing ticket: %w", err)
	}
	return s.write(Ticket{PodUID: podUID, Container: container, State: TicketFailed, Reason: reasonWithdrawn, Changed: time.Now()})
}

// Delete removes a ticket with all that came with it, once its pod is gone; none is no error.
func (s *Store) Delete(podUID, container string) error {
	if err := errors.Join(CheckIDs(podUID), CheckContainer(container)); err != nil {
		return fmt.Errorf("deleting ticket: %w", err)
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// The ticket first: whoever finds the folder half removed finds no ticket.
	if err := os.Remove(filepath.Join(s.Folder(podUID, container), ticketFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting ticket: %w", err)
	}
	if err := os.RemoveAll(s.Folder(podUID, container)); err != nil {
		return fmt.Errorf("deleting ticket: %w", err)
	}
	_ = os.Remove(filepath.Join(s.folder, podUID)) // succeeds with the pod's last ticket only
	return nil
}

// Wipe removes the process memory that lies in the ticket's folder, half received archives included; the ticket stays.
func (s *Store) Wipe(podUID, container string) error {
	folder := s.Folder(podUID, container)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("wiping archive: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("wiping archive: %w", err)
	}
	return nil
}

// List returns the readable tickets of all pods.
func (s *Store) List() ([]Ticket, error) {
	paths, err := filepath.Glob(filepath.Join(s.folder, "*", "*", ticketFile))
	if err != nil {
		return nil, fmt.Errorf("listing tickets: %w", err)
	}
	var tickets []Ticket
	for _, p := range paths {
		folder := filepath.Dir(p)
		if t, err := s.Get(filepath.Base(filepath.Dir(folder)), filepath.Base(folder)); err == nil {
			tickets = append(tickets, t)
		}
	}
	return tickets, nil
}

// change moves a ticket to a state, after edit has consented. It returns the ticket as it is afterwards.
func (s *Store) change(podUID, container string, to TicketState, edit func(*Ticket) error) (Ticket, error) {
	unlock, err := s.lock()
	if err != nil {
		return Ticket{}, err
	}
	defer unlock()
	old, err := s.Get(podUID, container)
	if err != nil {
		return Ticket{}, err
	}
	t := old
	if err := t.move(to); err != nil {
		return old, err
	}
	if edit != nil {
		if err := edit(&t); err != nil {
			return old, err
		}
	}
	if err := s.write(t); err != nil {
		return old, err
	}
	return t, nil
}

// write replaces the ticket's file. Only the commit is forced to the disk: a power failure that takes back any other
// step leaves a ticket that never starts the image, which is safe.
func (s *Store) write(t Ticket) (err error) {
	path := filepath.Join(s.Folder(t.PodUID, t.Container), ticketFile)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing ticket: %w", err)
	}
	err = json.NewEncoder(f).Encode(t)
	if t.State == TicketCommitted {
		err = errors.Join(err, f.Sync())
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil && t.State == TicketCommitted {
		err = syncFolder(filepath.Dir(path)) // the new name, too, has to reach the disk
	}
	if err != nil {
		return fmt.Errorf("writing ticket: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// lock the store against other processes and goroutines.
func (s *Store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, fmt.Errorf("locking tickets: %w", err)
	}
	f, err := flock(filepath.Join(s.folder, "lock"), unix.LOCK_EX)
	if err != nil {
		return nil, fmt.Errorf("locking tickets: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

// flock opens and locks a file. The kernel unlocks it when the file is closed or its process dies.
func flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	}
}
