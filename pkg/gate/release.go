package gate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// Release ends a hold; with a log, deliveries are logged from here on.
func (g *Gate) Release(ctx context.Context, r control.ReleaseRequest) error {
	g.commands.Lock()
	defer g.commands.Unlock()
	if err := g.check(r.Command); err != nil {
		return err
	}
	if g.record().Mode == control.ModeLogging && g.record().Log == r.Log && g.cut != nil && g.cut.Token == r.Token {
		return nil
	}
	if g.record().Mode != control.ModeHeld || g.cut == nil || g.cut.Token != r.Token || time.Now().After(g.cut.Expires) {
		return refuse(control.ReasonTokenExpired, "the cut is void; checkpoints taken under it are, too")
	}
	if reason := g.broken(); reason != "" {
		g.void()
		return errors.Join(refuse(control.ReasonBroken, "%s", reason), g.goOn(r.Epoch, reason))
	}
	if r.Log == "" {
		g.void()
		return g.goOn(r.Epoch, "")
	}
	writer, err := g.startLog(ctx, r.Log)
	if err != nil {
		return err
	}
	now := time.Now()
	err = g.become(func(rec *record) {
		rec.Mode, rec.Epoch, rec.Log, rec.ResumedAt = control.ModeLogging, r.Epoch, r.Log, &now
	})
	if err != nil {
		writer.Stop()
		return err
	}
	g.expiry.Stop()
	g.writer = writer
	g.hold.held.Observe(now.Sub(g.cut.HeldSince).Seconds())
	g.core.mu.Lock()
	defer g.core.mu.Unlock()
	g.core.log = writer
	g.core.setMode(control.ModeLogging)
	return nil
}

// startLog before the cut expires, for the app must not be held longer.
func (g *Gate) startLog(ctx context.Context, queue string) (*replaylog.Writer, error) {
	ctx, cancel := context.WithDeadline(ctx, g.cut.Expires)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, logTimeout)
	defer cancel()
	if err := g.openLog(ctx, ""); err != nil {
		return nil, err
	}
	if g.record().Log != queue {
		if err := g.logConn.Declare(ctx, queue); err != nil {
			_ = g.closeLog("")
			return nil, refuse(control.ReasonBroker, "%v", err)
		}
	}
	w, err := g.logConn.NewWriter(ctx, queue, g.breaks)
	if err != nil {
		_ = g.closeLog("") // the next try dials anew
		return nil, refuse(control.ReasonBroker, "%v", err)
	}
	return w, nil
}

func (g *Gate) breaks(err error) {
	g.core.mu.Lock()
	defer g.core.mu.Unlock()
	slog.Warn("migration broken", "err", err)
	g.core.breaks(err.Error())
}

func (g *Gate) broken() string {
	g.core.mu.Lock()
	defer g.core.mu.Unlock()
	return g.core.broken
}
