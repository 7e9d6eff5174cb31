package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/archive"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/criu"
)

const (
	// patience is how long a create waits for its archive. The kubelet gives a container's start two minutes.
	patience = 90 * time.Second
	// glance is the time between two looks at a ticket.
	glance = 10 * time.Millisecond
	// pausedMark, a file in runc's own folder of a container, says that its start is a resume. It goes with the container.
	pausedMark = "ms2m-paused"
)

// errCommitted: the checkpoint is consumed, and the image may start.
var errCommitted = errors.New("ticket is committed")

// restore takes the container's ticket and restores the container once. It returns nil when the container stands
// restored and paused, errCommitted when the image may start, and any other error when nothing may.
func (w *wrapper) restore(c command, s *spec, bundle, podUID, name string) error {
	taken, err := w.awaitTicket(podUID, name, c.id)
	if err != nil {
		return err
	}
	if err := w.restoreTaken(c, s, bundle, taken); err != nil {
		return errors.Join(err, taken.Fail(err.Error()))
	}
	if err := taken.Done(); err != nil {
		// The ticket was deleted meanwhile: nobody waits for this container any more.
		return errors.Join(err, w.run(c.with("delete", "--force", c.id)...))
	}
	return nil
}

// awaitTicket waits for the archive's arrival and takes the ticket.
func (w *wrapper) awaitTicket(podUID, name, id string) (*fcc.Taken, error) {
	deadline := time.Now().Add(patience)
	for {
		t, err := w.tickets.Get(podUID, name)
		switch {
		case err == nil && t.State == fcc.TicketCommitted:
			return nil, errCommitted
		case err == nil && t.State != fcc.TicketExpected:
			return w.tickets.Take(podUID, name, id)
		case err != nil && !errors.Is(err, fcc.ErrNoTicket):
			return nil, err
		case time.Now().After(deadline) && err != nil:
			return nil, fmt.Errorf("awaiting restore ticket for %s: the pod's annotation %s names container %s, but no migration has given it one: %w", patience, AnnotationRestore, name, err)
		case time.Now().After(deadline):
			return nil, fmt.Errorf("awaiting checkpoint for %s: the archive of migration %s has not arrived", patience, t.Migration)
		}
		time.Sleep(glance)
	}
}

// restoreTaken makes the container from the taken ticket's archive and pauses it.
func (w *wrapper) restoreTaken(c command, s *spec, bundle string, t *fcc.Taken) error {
	unpacked, work := w.tickets.Archive(t.PodUID, t.Container), w.tickets.Work(t.PodUID, t.Container)
	if err := applyRootDiff(s, unpacked); err != nil {
		return err
	}
	takeBack, err := lendTmp(s)
	if err != nil {
		return err
	}
	defer takeBack()
	args, err := c.forRestore(bundle, filepath.Join(unpacked, archive.Images), work)
	if err != nil {
		return err
	}
	if err := w.run(args...); err != nil {
		return fmt.Errorf("restoring container: %w", w.explain(err, c, work, "restore.log"))
	}
	if err := w.pause(c); err != nil {
		return errors.Join(err, w.run(c.with("delete", "--force", c.id)...))
	}
	return nil
}

func applyRootDiff(s *spec, unpacked string) error {
	rootfs, err := s.rootfs()
	if err != nil {
		return err
	}
	diff, err := os.Open(filepath.Join(unpacked, archive.RootDiff))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the container had changed nothing
	}
	if err != nil {
		return fmt.Errorf("applying root file system: %w", err)
	}
	defer diff.Close() //nolint:errcheck // opened for reading
	return archive.ApplyRootDiff(diff, rootfs, archive.Limits{})
}

// pause freezes the restored container until its start.
func (w *wrapper) pause(c command) error {
	if err := w.run(c.with("pause", c.id)...); err != nil {
		return fmt.Errorf("pausing restored container: %w", err)
	}
	if err := os.WriteFile(markFile(c), nil, 0o600); err != nil {
		return fmt.Errorf("marking restored container: %w", err)
	}
	return nil
}

// resume starts a container that was restored; done is false for any other.
func (w *wrapper) resume(c command) (done bool, err error) {
	mark := markFile(c)
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := w.run(c.with("resume", c.id)...); err != nil {
		return true, fmt.Errorf("resuming restored container: %w", err)
	}
	return true, os.Remove(mark)
}

// markFile lies in runc's folder of the container, which runc removes with it.
func markFile(c command) string {
	root := c.flags["root"]
	if root == "" {
		root = "/run/runc"
	}
	return filepath.Join(root, filepath.Base(c.id), pausedMark)
}

// explain adds CRIU's own words, or else runc's, to a failure.
func (w *wrapper) explain(failure error, c command, work, file string) error {
	if cause, err := criu.ReadCause(work, file); err == nil && len(cause.Lines) > 0 {
		return fmt.Errorf("%w: CRIU: %s", failure, cause)
	}
	if message := lastError(c.flags["log"]); message != "" {
		return fmt.Errorf("%w: %s", failure, message)
	}
	return failure
}
