package gate

import (
	"context"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// Inspect asks the broker what queues the app consumes, and tells the status with what that refuses.
func (g *Gate) Inspect(ctx context.Context) (control.Status, error) {
	g.core.mu.Lock()
	var err error
	if g.core.mode == control.ModeOpen {
		err = g.core.inspect(ctx)
	}
	g.core.mu.Unlock()
	if err != nil {
		return control.Status{}, err
	}
	return g.Status(), nil
}

// Status of the gate.
func (g *Gate) Status() control.Status {
	rec := g.record()
	c := g.core
	c.mu.Lock()
	defer c.mu.Unlock()
	s := control.Status{
		Mode: rec.Mode, Migration: rec.Migration, Epoch: rec.Epoch, Broken: c.broken,
		HeldSince: rec.HeldSince, ResumedAt: rec.ResumedAt, Trouble: c.trouble,
		Refusals: c.refusals(), Lambda: c.rates.lambda(c.now()), Mu: c.rates.mu(),
		Connections: len(c.links), Consumers: len(c.consumersOf("")), SessionConsumers: -1,
		Unacked: c.unacked, Forwarded: c.forwarded, Waiting: len(c.waiting.list),
		Logged: c.logged(), Replayed: c.replay.settled, Outputs: c.outputs.count,
	}
	if c.replay.end != nil {
		s.SessionConsumers = len(c.replay.end.Consumers)
	}
	if c.logging() {
		c.each(func(ch *channel) { s.Outputs -= min(s.Outputs, uint64(ch.Confirms.Open.Len())) })
	}
	return s
}

// logged entries that the broker has confirmed; END is none of them.
func (c *core) logged() uint64 {
	if c.log == nil {
		return 0
	}
	return min(c.log.Confirmed(), c.entries)
}
