package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// Hold waits until the app stands between two messages.
func (g *Gate) Hold(ctx context.Context, r control.HoldRequest) (control.Cut, error) {
	g.commands.Lock()
	if err := g.check(r.Command); err != nil {
		g.commands.Unlock()
		return control.Cut{}, err
	}
	if g.record().Mode == control.ModeHeld && g.op == nil && g.cut != nil {
		cut := *g.cut
		g.commands.Unlock()
		return cut, nil
	}
	if g.op == nil && g.record().Mode != control.ModeOpen {
		mode := g.record().Mode
		g.commands.Unlock()
		return control.Cut{}, refuse(control.ReasonWrongMode, "only an open gate can be held, this one is %s", mode)
	}
	if err := g.join(ctx, control.ModeHolding, r.Command, func(ctx context.Context) error { return g.doHold(ctx, r) }); err != nil {
		return control.Cut{}, err
	}
	g.commands.Lock()
	defer g.commands.Unlock()
	if g.cut == nil {
		return control.Cut{}, refuse(control.ReasonTokenExpired, "the hold has ended already")
	}
	return *g.cut, nil
}

func (g *Gate) doHold(ctx context.Context, r control.HoldRequest) error {
	if err := g.migratable(); err != nil {
		return err
	}
	if err := g.openLog(ctx, r.Log); err != nil {
		return err
	}
	started := time.Now()
	err := g.become(func(rec *record) {
		*rec = record{Mode: control.ModeHolding, Migration: r.Migration, Epoch: r.Epoch, Log: r.Log}
	})
	if err != nil {
		g.closeLog(r.Log)
		return err
	}
	if err := g.drain(ctx, time.Duration(r.DrainMillis)*time.Millisecond); err != nil {
		slog.Warn("hold failed, the app goes on", "after", time.Since(started), "err", err)
		return errors.Join(err, g.goOn(r.Epoch, ""))
	}
	g.hold.drained.Observe(time.Since(started).Seconds())
	cut := control.Cut{Token: rand.Text(), HeldSince: time.Now()}
	cut.Expires = cut.HeldSince.Add(time.Duration(r.ValidMillis) * time.Millisecond)
	err = g.become(func(rec *record) { rec.Mode, rec.HeldSince = control.ModeHeld, &cut.HeldSince })
	if err != nil {
		return errors.Join(err, g.goOn(r.Epoch, ""))
	}
	g.commands.Lock()
	g.cut = &cut
	g.expiry = time.AfterFunc(time.Until(cut.Expires), func() { g.expire(cut.Token) })
	g.commands.Unlock()
	return nil
}

// migratable refuses a session that cannot be migrated exactly.
func (g *Gate) migratable() error {
	g.core.mu.Lock()
	defer g.core.mu.Unlock()
	if list := g.core.refusals(); len(list) > 0 {
		return refuse(control.ReasonRefused, "%s", list[0])
	}
	if len(g.core.consumersOf("")) == 0 {
		return refuse(control.ReasonRefused, "the app has no consumer; wait until it has subscribed")
	}
	return nil
}

// drain holds deliveries back until the app has settled all it has, and the broker has taken that.
func (g *Gate) drain(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, refuse(control.ReasonNotDrained,
		"the app did not settle its deliveries and publishes within %s", limit))
	defer cancel()
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = ""
	c.setMode(control.ModeHolding)
	if err := c.drain(ctx, c.settled); err != nil {
		return err
	}
	// No delivery reaches the app from here on, even though the record is not yet written.
	c.setMode(control.ModeHeld)
	c.cut()
	return nil
}

// drain waits until the app is settled and still is after a round trip on all channels.
func (c *core) drain(ctx context.Context, settled func() bool) error {
	done := func() bool { return c.broken != "" || settled() }
	for c.broken == "" {
		if err := c.await(ctx, done); err != nil {
			return err
		}
		open := c.sync()
		links := len(c.links)
		if err := c.await(ctx, func() bool { return c.broken != "" || *open <= 0 || len(c.links) < links }); err != nil {
			return err
		}
		if c.broken == "" && *open <= 0 && settled() {
			return nil
		}
	}
	return refuse(control.ReasonBroken, "%s", c.broken)
}

// goOn as if the gate had never been held. The migration stays recorded, with the reason if it is broken.
func (g *Gate) goOn(epoch int64, broken string) error {
	now := time.Now()
	log := g.record().Log
	err := g.become(func(rec *record) {
		rec.Mode, rec.Epoch, rec.Broken, rec.ResumedAt, rec.Log = control.ModeOpen, epoch, broken, &now, ""
	})
	if err != nil {
		return err
	}
	g.core.mu.Lock()
	g.core.reopen()
	g.core.broken = broken
	g.core.mu.Unlock()
	g.closeLog(log)
	return nil
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

func (g *Gate) startLog(ctx context.Context, queue string) (*replaylog.Writer, error) {
	if err := g.openLog(ctx, ""); err != nil {
		return nil, err
	}
	if g.record().Log != queue {
		if err := g.logConn.Declare(queue); err != nil {
			return nil, refuse(control.ReasonBroker, "%v", err)
		}
	}
	w, err := g.logConn.NewWriter(queue, g.breaks)
	if err != nil {
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

// HandOver stops the source: it consumes nothing more, and END closes the log.
func (g *Gate) HandOver(ctx context.Context, r control.Command) error {
	g.commands.Lock()
	if err := g.check(r); err != nil {
		g.commands.Unlock()
		return err
	}
	mode := g.record().Mode
	if g.op == nil && mode != control.ModeLogging {
		g.commands.Unlock()
		if mode == control.ModeHandedOver {
			return nil
		}
		return refuse(control.ReasonWrongMode, "only a logging gate can hand over, this one is %s", mode)
	}
	return g.join(ctx, control.ModeHandingOver, r, func(ctx context.Context) error { return g.doHandOver(ctx, r) })
}

func (g *Gate) doHandOver(ctx context.Context, r control.Command) error {
	err := g.become(func(rec *record) { rec.Mode, rec.Epoch, rec.ResumedAt = control.ModeHandingOver, r.Epoch, nil })
	if err != nil {
		return err
	}
	end, err := g.stop(ctx)
	switch {
	case errors.Is(err, errTakenBack) || g.ending.Err() != nil:
		return err
	case err != nil:
		// Without END no target can commit.
		return errors.Join(err, g.goOn(r.Epoch, err.Error()))
	}
	held := time.Now()
	g.writer.Append(end)
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	if err := g.writer.Flush(ctx); err != nil {
		g.breaks(err)
		return refuse(control.ReasonBroken, "%v", err)
	}
	return g.become(func(rec *record) { rec.Mode, rec.HeldSince = control.ModeHandedOver, &held })
}

// stop consuming, and return the log's END.
func (g *Gate) stop(ctx context.Context) ([]byte, error) {
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setMode(control.ModeHandingOver)
	if err := c.pause(ctx); err != nil {
		return nil, err
	}
	for _, a := range c.consumersOf("") {
		a.ch.cancel(a.consumer)
	}
	if err := c.drain(ctx, c.stopped); err != nil {
		return nil, err
	}
	// The app publishes and subscribes nothing from here on.
	c.setMode(control.ModeHandedOver)
	return c.end().Append(nil)
}

// end of the log.
func (c *core) end() *replaylog.End {
	end := &replaylog.End{
		Entries: c.entries, Digest: c.digest, Outputs: c.outputs.count, OutputsDigest: c.outputs.digest,
	}
	for _, a := range c.consumersOf("") {
		end.Consumers = append(end.Consumers, c.identify(a.consumer))
	}
	for l := range c.links {
		end.Sessions = append(end.Sessions, l.Session)
	}
	return end
}

// pause between two batches of an app that settles in batches: once its consumers are cancelled, nothing would complete
// one that has begun. What waits in the gate by then goes back to the broker.
func (c *core) pause(ctx context.Context) error {
	batches := false
	c.each(func(ch *channel) { batches = batches || ch.Batches })
	if !batches {
		return nil
	}
	c.pausing = true
	err := c.await(ctx, func() bool { return c.broken != "" || c.unacked == 0 })
	if c.broken != "" {
		return refuse(control.ReasonBroken, "%s", c.broken)
	}
	return err
}

// stopped tells whether nothing is subscribed, nothing waits and the app is settled.
func (c *core) stopped() bool {
	if !c.settled() {
		return false
	}
	stopped := c.pausing || len(c.waiting.list) == 0
	c.each(func(ch *channel) {
		stopped = stopped && ch.incoming == nil
		for _, k := range ch.Consumers {
			stopped = stopped && !k.Subscribed
		}
	})
	if stopped && c.pausing {
		c.giveBack(func(*delivery) bool { return true })
	}
	return stopped
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
	}
	g.void()
	return g.goOn(r.Epoch, "")
}

// settleOpen forgets a migration that left the gate open, so that no delayed command of it is obeyed.
func (g *Gate) settleOpen(r control.Command) error {
	log := ""
	if rec := g.record(); rec.Migration == r.Migration {
		log = rec.Log
	}
	err := g.become(func(rec *record) { rec.Migration, rec.Epoch, rec.Broken, rec.Log = r.Migration, r.Epoch, "", "" })
	if err != nil {
		return err
	}
	g.core.mu.Lock()
	g.core.broken = ""
	g.core.mu.Unlock()
	g.closeLog(log)
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
	g.closeLog("")
	return nil
}
