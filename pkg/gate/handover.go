package gate

import (
	"context"
	"errors"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

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
	// The broker has all of it: the log's connection is needed no more.
	g.writer.Stop()
	return g.become(func(rec *record) { rec.Mode, rec.HeldSince = control.ModeHandedOver, &held })
}

// stop consuming, and return the log's END.
func (g *Gate) stop(ctx context.Context) ([]byte, error) {
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	// Consumers may have come since the hold, and a queue may not outlive its last one.
	if err := c.inspect(ctx); err != nil {
		return nil, err
	}
	if list := c.refusals(); len(list) > 0 {
		return nil, refuse(control.ReasonBroken, "%s", list[0])
	}
	c.setMode(control.ModeHandingOver)
	if err := c.pause(ctx); err != nil {
		return nil, err
	}
	c.cancelAll()
	if err := c.drain(ctx, c.stopped); err != nil {
		return nil, err
	}
	// The app publishes and subscribes nothing from here on.
	c.setMode(control.ModeHandedOver)
	return c.end().Append(nil)
}

// cancelAll consumers at the broker.
func (c *core) cancelAll() {
	c.cancelled = true
	for _, a := range c.consumersOf("") {
		a.ch.cancel(a.consumer)
	}
}

// end of the log.
func (c *core) end() *replaylog.End {
	end := &replaylog.End{
		Entries: c.entries, Digest: c.digest, Outputs: c.outputs.count, OutputsDigest: c.outputs.digest,
		Decisions: c.decisions.digest,
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
