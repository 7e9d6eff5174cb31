package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// readPoll is how often a hold looks whether the app has read everything.
const readPoll = time.Millisecond

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
	if err := g.migratable(ctx); err != nil {
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
		return errors.Join(err, g.closeLog(r.Log))
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
func (g *Gate) migratable(ctx context.Context) error {
	g.core.mu.Lock()
	defer g.core.mu.Unlock()
	if err := g.core.inspect(ctx); err != nil {
		return err
	}
	return g.core.migratable()
}

func (c *core) migratable() error {
	if list := c.refusals(); len(list) > 0 {
		return refuse(control.ReasonRefused, "%s", list[0])
	}
	if len(c.consumersOf("")) == 0 {
		return refuse(control.ReasonRefused, "the app has no consumer; wait until it has subscribed")
	}
	return nil
}

// drain holds deliveries back until the app has settled all it has, the broker has taken that, and the app has read what
// the broker answered.
func (g *Gate) drain(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	// An app that has just lost its connection has nothing to settle, and yet may be in the midst of a message.
	if err := c.migratable(); err != nil {
		return err
	}
	c.broken = ""
	c.setMode(control.ModeHolding)
	err := c.drain(ctx, c.settled)
	for err == nil && c.unread() {
		if err = c.awaitRead(ctx); err == nil { // it may have done anything meanwhile
			err = c.drain(ctx, c.settled)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return refuse(control.ReasonNotDrained, "the app did not come to rest within %s: %s", limit, c.outstanding())
	}
	if err != nil {
		return err
	}
	// No delivery reaches the app from here on, even though the record is not yet written.
	c.setMode(control.ModeHeld)
	c.cut()
	return nil
}

// outstanding says for people what keeps the app from standing between two messages.
func (c *core) outstanding() string {
	var publishes, halves, answers int
	c.each(func(ch *channel) {
		publishes += ch.Confirms.Open.Len()
		answers += len(ch.pending)
		if ch.fromApp.Open() {
			halves++
		}
	})
	switch {
	case c.unacked > 0:
		return fmt.Sprintf("%d deliveries not acknowledged", c.unacked)
	case halves > 0:
		return fmt.Sprintf("%d publishes half-sent", halves)
	case publishes > 0:
		return fmt.Sprintf("%d publishes not confirmed by the broker", publishes)
	case answers > 0:
		return fmt.Sprintf("%d answers due from the broker", answers)
	}
	return "it does not read what it is sent"
}

// unread tells whether the app has still to read something.
func (c *core) unread() bool {
	for l := range c.links {
		if l.unread() {
			return true
		}
	}
	return false
}

// awaitRead waits, under the lock, until the app has read everything. It gives no sign of that: one must look again.
func (c *core) awaitRead(ctx context.Context) error {
	again := time.NewTicker(readPoll)
	defer again.Stop()
	for c.unread() {
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// drain waits until the app is settled and still is after a round trip on all channels.
func (c *core) drain(ctx context.Context, settled func() bool) error {
	done := func() bool { return c.broken != "" || settled() }
	for c.broken == "" {
		if err := c.await(ctx, done); err != nil {
			return err
		}
		answered := c.sync()
		if err := c.await(ctx, func() bool { return c.broken != "" || answered() }); err != nil {
			return err
		}
		if c.broken == "" && settled() {
			return nil
		}
	}
	return refuse(control.ReasonBroken, "%s", c.broken)
}
