package fcc

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

const pod, container = "11111111-2222-3333-4444-555555555555", "app"

// ready returns a store with a ready ticket.
func ready(t *testing.T) *Store {
	t.Helper()
	s := NewStore(t.TempDir())
	_, err := s.Put("migration", pod, container)
	require.NoError(t, err)
	unpacked := filepath.Join(s.Folder(pod, container), "partial-1")
	require.NoError(t, os.Mkdir(unpacked, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unpacked, "memory"), []byte("secret"), 0o600))
	ticket, err := s.Ready("migration", pod, container, unpacked, "sha256:1", 6)
	require.NoError(t, err)
	require.Equal(t, TicketReady, ticket.State)
	return s
}

func TestTicketLife(t *testing.T) {
	s := ready(t)
	taken, err := s.Take(pod, container, "id")
	require.NoError(t, err)
	require.NoError(t, taken.Done())
	restored, err := s.Get(pod, container)
	require.NoError(t, err)
	require.Equal(t, TicketRestored, restored.State)
	require.Equal(t, "id", restored.ContainerID)
	require.NotNil(t, restored.Restored)
	for range 2 {
		committed, err := s.Commit(pod, container)
		require.NoError(t, err)
		require.Equal(t, TicketCommitted, committed.State)
	}
	require.NoDirExists(t, s.Archive(pod, container), "process memory must not outlive the commit")
	_, err = s.Fail(pod, container, "too late")
	require.ErrorIs(t, err, ErrState)
	_, err = s.Take(pod, container, "another")
	require.ErrorIs(t, err, ErrState)
	require.NoError(t, s.Delete(pod, container))
	require.NoError(t, s.Delete(pod, container))
	_, err = s.Get(pod, container)
	require.ErrorIs(t, err, ErrNoTicket)
}

func TestTicketMovesOnlyForward(t *testing.T) {
	states := []TicketState{TicketExpected, TicketReady, TicketRestoring, TicketRestored, TicketCommitted, TicketFailed}
	allowed := map[[2]TicketState]bool{
		{TicketExpected, TicketReady}: true, {TicketReady, TicketRestoring}: true,
		{TicketRestoring, TicketRestored}: true, {TicketRestored, TicketCommitted}: true,
		{TicketExpected, TicketFailed}: true, {TicketReady, TicketFailed}: true,
		{TicketRestoring, TicketFailed}: true, {TicketRestored, TicketFailed}: true,
	}
	for _, from := range states {
		for _, to := range states {
			ticket := Ticket{State: from}
			err := ticket.move(to)
			require.Equal(t, allowed[[2]TicketState{from, to}], err == nil, "%s to %s", from, to)
			if err != nil {
				require.ErrorIs(t, err, ErrState)
				require.Equal(t, from, ticket.State)
			}
		}
	}
}

func TestTicketIsTakenOnce(t *testing.T) {
	s := ready(t)
	var won, busy atomic.Int32
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			_, err := s.Take(pod, container, "id")
			switch {
			case err == nil:
				won.Add(1) // and never lets go: the lock is held to the end
			case errors.Is(err, ErrBusy):
				busy.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, won.Load())
	require.EqualValues(t, 31, busy.Load())
	ticket, err := s.Get(pod, container)
	require.NoError(t, err)
	require.Equal(t, TicketRestoring, ticket.State, "a racing taker must not disturb the one at work")
}

func TestTakersDeathFailsTicket(t *testing.T) {
	s := ready(t)
	taken, err := s.Take(pod, container, "id")
	require.NoError(t, err)
	require.NoError(t, taken.lock.Close()) // as the kernel does when the process dies
	_, err = s.Take(pod, container, "next")
	require.ErrorIs(t, err, ErrState)
	require.ErrorContains(t, err, reasonKilled)
	_, err = s.Commit(pod, container)
	require.ErrorIs(t, err, ErrState, "what never stood restored cannot be committed")
}

func TestEndBeforeCommitFailsTicket(t *testing.T) {
	s := ready(t)
	taken, err := s.Take(pod, container, "id")
	require.NoError(t, err)
	require.NoError(t, taken.Done())
	for range 2 {
		_, err = s.Take(pod, container, "next")
		require.ErrorContains(t, err, reasonEnded)
	}
	// The migration's commit was written just before the container ended: there is only forward.
	committed, err := s.Commit(pod, container)
	require.NoError(t, err)
	require.Empty(t, committed.Reason)
}

func TestWithdraw(t *testing.T) {
	s := ready(t)
	half := filepath.Join(s.Folder(pod, container), "partial-2")
	require.NoError(t, os.Mkdir(half, 0o700))
	for range 2 {
		require.NoError(t, s.Withdraw(pod, container))
	}
	require.NoDirExists(t, half, "nothing of a delivery under way stays either")
	_, err := s.Take(pod, container, "id")
	require.ErrorContains(t, err, reasonWithdrawn)
	require.NoDirExists(t, s.Archive(pod, container))

	const other = "99999999-2222-3333-4444-555555555555"
	require.NoError(t, s.Withdraw(other, container))
	_, err = s.Take(other, container, "id")
	require.ErrorContains(t, err, reasonWithdrawn, "a wrapper that waits for a ticket that never came gives up, too")

	s = ready(t)
	taken, err := s.Take(pod, container, "id")
	require.NoError(t, err)
	require.NoError(t, taken.Done())
	_, err = s.Commit(pod, container)
	require.NoError(t, err)
	require.NoError(t, s.Withdraw(pod, container))
	ticket, err := s.Get(pod, container)
	require.NoError(t, err)
	require.Equal(t, TicketCommitted, ticket.State, "a committed container may start again")
}

func TestPutIsBoundToItsMigration(t *testing.T) {
	s := ready(t)
	again, err := s.Put("migration", pod, container)
	require.NoError(t, err)
	require.Equal(t, TicketReady, again.State, "asked again, the ticket stays as it is")
	_, err = s.Put("another", pod, container)
	require.ErrorIs(t, err, ErrMigration)
	_, err = s.Ready("another", pod, container, "", "", 0)
	require.Error(t, err)
}

func TestNamesCannotLeaveTheFolder(t *testing.T) {
	s := NewStore(t.TempDir())
	for _, bad := range []string{"", "..", "../x", "a/b", ".", "a\x00b", "-a"} {
		_, err := s.Put("migration", bad, container)
		require.Error(t, err, "pod %q", bad)
		_, err = s.Put("migration", pod, bad)
		require.Error(t, err, "container %q", bad)
		_, err = s.Get(bad, container)
		require.NotErrorIs(t, err, ErrNoTicket, "pod %q", bad)
		require.Error(t, s.Delete(pod, bad))
	}
}

func TestForeignTicketIsRefused(t *testing.T) {
	s := ready(t)
	const other = "99999999-2222-3333-4444-555555555555"
	require.NoError(t, os.MkdirAll(s.Folder(other, container), 0o700))
	b, err := os.ReadFile(filepath.Join(s.Folder(pod, container), ticketFile))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.Folder(other, container), ticketFile), b, 0o600))
	_, err = s.Take(other, container, "id")
	require.ErrorContains(t, err, "names container")
}
