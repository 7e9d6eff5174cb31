package gate

import (
	"context"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// goOn as if the gate had never been held. The migration stays recorded, with the reason if it is broken. A gate that
// would start open after a crash opens even if that cannot be written.
func (g *Gate) goOn(epoch int64, broken string) error {
	now := time.Now()
	err := g.become(func(rec *record) {
		rec.Mode, rec.Epoch, rec.Broken, rec.ResumedAt = control.ModeOpen, epoch, broken, &now
	})
	if err != nil && g.record().afterCrash().Mode != control.ModeOpen {
		return err
	}
	g.core.mu.Lock()
	g.core.reopen()
	g.core.broken = broken
	g.core.mu.Unlock()
	g.dropLog()
	return err
}

// void the cut. Called with commands held.
func (g *Gate) void() {
	g.cut = nil
	if g.expiry != nil {
		g.expiry.Stop()
	}
}

func (g *Gate) expire(token string) {
	g.commands.Lock()
	defer g.commands.Unlock()
	if g.cut == nil || g.cut.Token != token || g.record().Mode != control.ModeHeld {
		return
	}
	g.void()
	slog.Warn("cut token expired, the app goes on", "migration", g.record().Migration)
	if err := g.goOn(g.record().Epoch, ""); err != nil {
		slog.Error("going on after hold failed", "err", err)
	}
}

// Resume takes a source back.
func (g *Gate) Resume(_ context.Context, r control.Command) error {
	g.commands.Lock()
	err := g.check(r)
	g.commands.Unlock()
	if err != nil {
		return err
	}
	g.stopOperation()
	defer g.commands.Unlock()
	if err := g.check(r); err != nil {
		return err
	}
	switch g.record().Mode {
	case control.ModeFenced, control.ModeClosed, control.ModeReplaying, control.ModeReplayed:
		return refuse(control.ReasonWrongMode, "only a source can be resumed, this gate is %s", g.record().Mode)
	case control.ModeOpen:
		return g.settleOpen(r)
	default:
		g.void()
		return g.goOn(r.Epoch, "")
	}
}

// settleOpen forgets a migration that left the gate open, so that no delayed command of it is obeyed.
func (g *Gate) settleOpen(r control.Command) error {
	err := g.become(func(rec *record) {
		if rec.Migration != r.Migration {
			rec.Log = ""
		}
		rec.Migration, rec.Epoch, rec.Broken = r.Migration, r.Epoch, ""
	})
	if err != nil {
		return err
	}
	g.core.mu.Lock()
	g.core.broken = ""
	g.core.mu.Unlock()
	g.dropLog()
	return nil
}

// Fence closes a superseded source for good.
func (g *Gate) Fence(_ context.Context, r control.Command) error {
	g.commands.Lock()
	defer g.commands.Unlock()
	if err := g.check(r); err != nil {
		return err
	}
	switch g.record().Mode {
	case control.ModeFenced, control.ModeHandedOver, control.ModeHeld:
	default:
		return refuse(control.ReasonWrongMode, "only a held source can be fenced, this gate is %s", g.record().Mode)
	}
	g.void()
	if err := g.become(func(rec *record) { rec.Mode, rec.Epoch = control.ModeFenced, r.Epoch }); err != nil {
		return err
	}
	g.core.mu.Lock()
	g.core.setMode(control.ModeFenced)
	for l := range g.core.links {
		l.abort()
	}
	g.core.mu.Unlock()
	return g.closeLog("")
}
