package gate

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// core is the gate's state. It reads no socket, writes only to outboxes, and does the same for the same frames in the
// same order. All of it, the links' and channels' parts included, is guarded by mu.
//
//   - app.go, broker.go: what a frame does
//   - deliveries.go: which delivery goes to the app when
//   - virtual.go: the session of a target before its commit
type core struct {
	mu sync.Mutex
	// changed is broadcast on every change that somebody may wait for.
	changed sync.Cond
	now     func() time.Time

	mode   control.Mode
	broken string
	// quietly is set while the mode is open: then nobody waits for changes.
	quietly atomic.Bool
	links   map[*link]struct{}
	// orders counts subscriptions.
	orders uint64

	waiting deliveries
	// unacked deliveries at the app, over all channels. In serial modes the next one is forwarded when it is 0.
	unacked int
	// pausing: the source hands over and gives nothing more once the app has settled all. cancelled: its consumers are.
	pausing, cancelled bool
	// lastFed is the consumer of the last delivery forwarded; progress, when one was last forwarded or settled.
	lastFed  consumerKey
	progress time.Time
	feeding  *time.Timer

	rates     rates
	added     addedLatency
	forwarded uint64
	// loggedBefore are entries of logs that were closed.
	loggedBefore uint64
	// trouble that kept the app's last connection from coming through to the broker.
	trouble string

	// Since the cut.
	log       appender
	entries   uint64
	digest    replaylog.Digest
	outputs   outputs
	decisions decisions
	replay    replay
}

// consumerKey of a consumer among all of the gate.
type consumerKey struct {
	ch  *channel
	tag string
}

// appender takes the records of the log.
type appender interface {
	// Append a record, without waiting.
	Append(record []byte)
	// Confirmed records.
	Confirmed() uint64
}

func newCore(mode control.Mode) *core {
	c := &core{mode: mode, links: map[*link]struct{}{}, now: time.Now, added: newAddedLatency()}
	c.changed.L = &c.mu
	if mode == control.ModeOpen {
		c.rates.start(c.now())
	}
	c.quietly.Store(mode == control.ModeOpen)
	return c
}

// await waits, under the lock, until the condition holds. The error is the context's cause.
func (c *core) await(ctx context.Context, holds func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer stop()
	for !holds() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.changed.Wait()
	}
	return nil
}

// setMode and do what becomes possible by it.
func (c *core) setMode(m control.Mode) {
	c.mode = m
	c.quietly.Store(m == control.ModeOpen)
	now := c.now()
	c.progress = now
	switch m {
	case control.ModeOpen, control.ModeLogging, control.ModeHandingOver:
		c.rates.start(now)
	default:
		c.rates.stop(now)
	}
	c.pump()
	c.changed.Broadcast()
}

// breaks records why the migration can no longer end exactly; the first reason stays. A target that has verified its
// replay is never broken: its commit may have been decided already.
func (c *core) breaks(reason string) {
	if c.broken == "" && c.migrating() && c.mode != control.ModeReplayed {
		c.broken = reason
	}
	c.changed.Broadcast()
}

// interrupted: the broker has ended something of the app's. That breaks a migration, unless all is settled and
// verified, and nothing is under way that could be lost.
func (c *core) interrupted(reason string) {
	if c.mode != control.ModeHandedOver && c.mode != control.ModeReplayed {
		c.breaks(reason)
	}
}

// migrating tells whether the mode is one of a migration under way.
func (c *core) migrating() bool {
	switch c.mode {
	case control.ModeOpen, control.ModeClosed, control.ModeFenced:
		return false
	default:
		return true
	}
}

// logging tells whether what the app does belongs to the time after the cut, at the source.
func (c *core) logging() bool {
	switch c.mode {
	case control.ModeHeld, control.ModeLogging, control.ModeHandingOver:
		return true
	default:
		return false
	}
}

// between tells whether deliveries that the app has are neither logged nor replayed.
func (c *core) between() bool {
	switch c.mode {
	case control.ModeLogging, control.ModeHandingOver, control.ModeReplaying:
		return false
	default:
		return true
	}
}

// virtual tells whether the app's session is a virtual one.
func (c *core) virtual() bool {
	return c.mode == control.ModeReplaying || c.mode == control.ModeReplayed
}

// settled tells whether the app stands between two messages: it has settled all deliveries, all its publishes are
// confirmed, nothing is half-sent or unanswered, and every frame has left the gate.
func (c *core) settled() bool {
	if c.unacked > 0 {
		return false
	}
	for l := range c.links {
		if !l.app.idle() || !l.broker.idle() {
			return false
		}
		for _, ch := range l.channels {
			if ch.fromApp.Open() || ch.toApp.Open() || ch.Confirms.Open.Len() > 0 || len(ch.pending) > 0 {
				return false
			}
		}
	}
	return true
}

// sync asks every channel for a round trip; answered tells whether those that still exist have had it. basic.ack has no
// answer: the one that comes back proves that the broker has taken every ack before it.
func (c *core) sync() (answered func() bool) {
	var asked []*channel
	c.each(func(ch *channel) {
		asked = append(asked, ch)
		ch.ask(amqp.ChannelFlowOk, "", amqp.AppendFlow(nil, ch.ID), nil)
	})
	return func() bool {
		return !slices.ContainsFunc(asked, func(ch *channel) bool { return !ch.link.gone && !ch.closing && ch.asking() })
	}
}

// wake those who wait for frames to have left the gate.
func (c *core) wake() {
	if c.quietly.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// lost tells that a link has ended: the broker requeues what was on it.
func (c *core) lost(l *link) {
	if l.gone {
		return
	}
	l.gone = true
	if l.inquiry != nil {
		l.inquiry.unfit = "is not known to the gate: the connection ended before the broker said what it is"
		c.concluded(l.inquiry)
	}
	used := false
	for _, ch := range l.channels {
		used = used || len(ch.Consumers) > 0 || ch.Tags.Len() > 0 || ch.Confirms.Open.Len() > 0
		c.forget(ch)
	}
	delete(c.links, l)
	switch c.mode {
	case control.ModeHolding, control.ModeHeld, control.ModeLogging, control.ModeHandingOver:
		if used {
			c.breaks("the app's connection ended during the migration")
		}
	case control.ModeReplaying:
		if used && (c.replay.served > 0 || c.outputs.count > 0) {
			c.breaks("the restored app's connection ended during the replay")
		}
	default: // nothing is under way that the connection would be needed for
	}
	c.pump()
	c.changed.Broadcast()
}

// reopen a source: consumers that were cancelled at the broker are subscribed again where they stopped.
func (c *core) reopen() {
	c.broken, c.pausing, c.cancelled = "", false, false
	for _, d := range c.waiting.take(func(*delivery) bool { return true }) {
		c.forward(d)
	}
	c.each((*channel).subscribe)
	c.setMode(control.ModeOpen)
}

// cut begins the counts of what comes after it.
func (c *core) cut() {
	c.entries, c.digest, c.outputs, c.decisions = 0, replaylog.Digest{}, outputs{}, decisions{}
}
