package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

const (
	sweepEvery = time.Minute
	// settled is how old something of a pod that this node does not know must be: its pod may just be coming.
	settled = 10 * time.Minute
	// retention of checkpoints that no migration has asked to delete.
	retention = time.Hour
)

// sweepOften removes what is left behind until the context is done.
func (a *Agent) sweepOften(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := a.sweep(time.Now()); err != nil {
			a.log.Warn("sweeping failed", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep removes the gates' folders and tickets of pods that are gone, and old checkpoints.
func (a *Agent) sweep(now time.Time) error {
	return errors.Join(a.sweepGates(now), a.sweepTickets(now), a.sweepCheckpoints(now))
}

func (a *Agent) sweepGates(now time.Time) error {
	folder := filepath.Join(a.options.Root, "gates")
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr != nil || a.pods.withUID(e.Name()) != nil || now.Sub(info.ModTime()) < settled {
			continue
		}
		a.gates.forget(e.Name())
		a.active.forget(e.Name())
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
	}
	return err
}

func (a *Agent) sweepTickets(now time.Time) error {
	tickets, err := a.tickets.List()
	for _, t := range tickets {
		if a.pods.withUID(t.PodUID) == nil && now.Sub(t.Changed) >= settled {
			err = errors.Join(err, a.tickets.Delete(t.PodUID, t.Container))
		}
	}
	return err
}

func (a *Agent) sweepCheckpoints(now time.Time) error {
	found, err := a.records.all("*")
	for _, rec := range found {
		if now.Sub(rec.Asked) >= retention {
			err = errors.Join(err, a.removeCheckpoint(rec))
		}
	}
	return err
}
