package gate

import (
	"context"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// subscribeTimeout bounds how long a commit waits for the broker to confirm the consumers.
const subscribeTimeout = 5 * time.Second

// Replay lets a target serve the log to its app.
func (g *Gate) Replay(ctx context.Context, r control.ReplayRequest) error {
	g.commands.Lock()
	defer g.commands.Unlock()
	if err := g.check(r.Command); err != nil {
		return err
	}
	switch {
	case g.broken() != "":
		return refuse(control.ReasonBroken, "%s", g.broken())
	case g.core.replaying() && g.record().Log == r.Log:
		return nil
	case g.record().Mode != control.ModeClosed:
		return refuse(control.ReasonWrongMode, "only a closed gate can replay, this one is %s", g.record().Mode)
	case r.Log == "":
		return refuse(control.ReasonBadRequest, "the command names no log")
	}
	if err := g.openLog(ctx, ""); err != nil {
		return err
	}
	err := g.become(func(rec *record) {
		rec.Mode, rec.Migration, rec.Epoch, rec.Log = control.ModeReplaying, r.Migration, r.Epoch, r.Log
	})
	if err != nil {
		return err
	}
	g.setMode(control.ModeReplaying)
	go g.readLog(g.logConn, r.Log)
	go g.awaitReplayed(r.Migration)
	return nil
}

// replaying tells whether a replay is under way or done.
func (c *core) replaying() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.virtual()
}

func (g *Gate) readLog(conn *replaylog.Conn, queue string) {
	c := g.core
	err := conn.Read(queue, func(r replaylog.Record) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.replay.waiting = append(c.replay.waiting, r)
		c.pump()
		c.changed.Broadcast()
	})
	if err != nil && g.ending.Err() == nil {
		g.breaks(err)
	}
}

// awaitReplayed verifies the replay when it is done, and records that.
func (g *Gate) awaitReplayed(migration string) {
	c := g.core
	c.mu.Lock()
	err := c.await(g.ending, func() bool { return c.broken != "" || c.mode != control.ModeReplaying || c.replayed() })
	if err == nil && c.broken == "" && c.mode == control.ModeReplaying {
		if wrong := c.verify(); wrong != "" {
			c.breaks(wrong)
		} else {
			// Publishes wait from here on: they are not the source's.
			c.setMode(control.ModeReplayed)
		}
	}
	done := c.mode == control.ModeReplayed && c.broken == ""
	c.mu.Unlock()
	g.commands.Lock()
	defer g.commands.Unlock()
	if !done || g.record().Migration != migration || g.record().Mode != control.ModeReplaying {
		return
	}
	if err := g.become(func(rec *record) { rec.Mode = control.ModeReplayed }); err != nil {
		slog.Error("recording end of replay failed", "err", err)
		g.breaks(err)
	}
}

// Commit makes a target the active instance.
func (g *Gate) Commit(ctx context.Context, r control.Command) error {
	g.commands.Lock()
	defer g.commands.Unlock()
	if err := g.check(r); err != nil {
		return err
	}
	switch {
	case g.record().Mode == control.ModeOpen && g.record().Migration == r.Migration:
		g.dropLog()
		return g.become(func(rec *record) { rec.Epoch = r.Epoch })
	case g.broken() != "":
		return refuse(control.ReasonBroken, "%s", g.broken())
	case g.record().Mode == control.ModeReplaying:
		return refuse(control.ReasonNotReplayed, "the log's END is not reached and verified")
	case g.record().Mode != control.ModeReplayed:
		return refuse(control.ReasonWrongMode, "only a target can be committed, this gate is %s", g.record().Mode)
	}
	now := time.Now()
	err := g.become(func(rec *record) { rec.Mode, rec.Epoch, rec.ResumedAt = control.ModeOpen, r.Epoch, &now })
	if err != nil {
		return err
	}
	g.subscribe(ctx)
	g.dropLog()
	return nil
}

// subscribe the app's consumers at the broker. One that the broker refuses closes its channel, as it would have without
// a gate.
func (g *Gate) subscribe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.goLive()
	err := c.await(ctx, func() bool {
		asking := false
		c.each(func(ch *channel) { asking = asking || ch.asking() })
		return !asking
	})
	if err != nil {
		slog.Warn("broker has not confirmed all consumers", "err", err)
	}
	c.setMode(control.ModeOpen)
}
