package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// stage of a migration, as it is stored before what is done in it.
type stage int

const (
	idle stage = iota
	holding
	checkpointing
	releasing
	restoring
	replaying
	catchingUp
	handingOver
	verifying
	activating
	deleting
	resuming
	removing
)

// controller is a naive model of the engine: it has one command under way, and stores its stage before it acts.
type controller struct {
	w *world
	// What is stored.
	stage          stage
	migrations     int
	epoch          int64
	cut            control.Cut
	source, target *pod
	checkpoint     *app
	began          time.Time
	why            string

	// call under way; lost in a crash.
	call *call
	// sent commands, which may arrive again.
	sent []command
	// enough: no new migration is begun.
	enough           bool
	commits, returns int
}

type command struct {
	to *pod
	do func(context.Context, *Gate) (control.Cut, error)
}

type call struct {
	cut  control.Cut
	err  error
	done bool
}

const (
	patience = 10 * time.Second
	// deadline of a migration that is not committed.
	deadline = 3 * time.Minute
)

func (c *controller) head() control.Command {
	return control.Command{Migration: fmt.Sprintf("m%d", c.migrations), Epoch: c.epoch}
}

func (c *controller) log() string { return fmt.Sprintf("ms2m.replay.m%d", c.migrations) }

// ask a gate something that has no answer but that it is done.
func (c *controller) ask(to *pod, do func(context.Context, *Gate) error) {
	c.askFor(to, func(ctx context.Context, g *Gate) (control.Cut, error) { return control.Cut{}, do(ctx, g) })
}

func (c *controller) askFor(to *pod, do func(context.Context, *Gate) (control.Cut, error)) {
	c.sent = append(c.sent, command{to, do})
	c.call = c.w.send(command{to, do})
}

func (w *world) send(cmd command) *call {
	result := &call{}
	g := cmd.to.gate
	if g == nil {
		result.done, result.err = true, errors.New("gate not reached")
		return result
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cut, err := cmd.do(ctx, g)
		w.mu.Lock()
		defer w.mu.Unlock()
		result.done, result.cut, result.err = true, cut, err
	}()
	return result
}

// crash loses what is not stored.
func (c *controller) crash() { c.call = nil }

// advance by a step.
func (c *controller) advance() bool {
	var err error
	call := c.call
	if call != nil {
		if !call.done {
			return false
		}
		err, c.call = call.err, nil
	}
	if c.stage != idle && c.stage < activating && (time.Since(c.began) > deadline || c.failed(err)) {
		c.rollBack(fmt.Sprint(err, " after ", time.Since(c.began)))
		return true
	}
	switch {
	case call == nil:
		return c.step()
	case err != nil:
		return false // tried again
	case c.stage == holding:
		c.cut = call.cut
	}
	c.stage++
	return true
}

// failed tells whether a command that failed could not succeed later.
func (c *controller) failed(err error) bool {
	var refused *control.Error
	return errors.As(err, &refused) && refused.Reason != control.ReasonBroker
}

func (c *controller) rollBack(why string) {
	c.why = why
	c.epoch = 2
	c.stage = resuming
}

// step of the stage.
func (c *controller) step() bool {
	switch c.stage {
	case idle:
		return c.begin()
	case holding:
		r := control.HoldRequest{Command: c.head(), DrainMillis: c.w.drain.Milliseconds(), ValidMillis: c.w.valid.Milliseconds(), Log: c.log()}
		c.askFor(c.source, func(ctx context.Context, g *Gate) (control.Cut, error) { return g.Hold(ctx, r) })
	case checkpointing:
		if c.checkpoint == nil && c.source.app != nil {
			if c.w.calm {
				require.True(c.w, c.source.app.between(), "the app stands between two messages")
			}
			c.checkpoint = c.source.app.restored(nil)
		}
		c.stage++
	case releasing:
		r := control.ReleaseRequest{Command: c.head(), Token: c.cut.Token, Log: c.log()}
		c.ask(c.source, func(ctx context.Context, g *Gate) error { return g.Release(ctx, r) })
	case restoring:
		if c.target == nil {
			c.target = c.w.newPod(fmt.Sprintf("pod%d", c.migrations), control.ModeClosed)
			c.target.app = c.checkpoint.restored(c.target)
			if c.w.change != nil {
				c.target.app.plan = *c.w.change
				c.w.change = nil
			}
		}
		c.stage++
	case replaying:
		r := control.ReplayRequest{Command: c.head(), Log: c.log()}
		c.ask(c.target, func(ctx context.Context, g *Gate) error { return g.Replay(ctx, r) })
	case catchingUp:
		source, target, ok := c.observe()
		if !ok {
			return c.stage == resuming
		}
		if source.Logged > target.Replayed+2 || c.w.lingering() {
			return false
		}
		c.stage++
	case handingOver:
		r := c.head()
		c.ask(c.source, func(ctx context.Context, g *Gate) error { return g.HandOver(ctx, r) })
	case verifying:
		_, target, ok := c.observe()
		if !ok {
			return c.stage == resuming
		}
		if target.Mode != control.ModeReplayed {
			return false
		}
		c.commit()
	case activating:
		r := c.head()
		if fence := c.source; fence.gate != nil && fence.mode() != control.ModeFenced {
			c.w.send(command{fence, func(ctx context.Context, g *Gate) (control.Cut, error) { return control.Cut{}, g.Fence(ctx, r) }})
		}
		c.ask(c.target, func(ctx context.Context, g *Gate) error { return g.Commit(ctx, r) })
	case deleting:
		c.source.remove()
		c.commits++
		c.stage = idle
	case resuming:
		r := c.head()
		c.ask(c.source, func(ctx context.Context, g *Gate) error { return g.Resume(ctx, r) })
	case removing:
		if c.target != nil {
			c.target.remove()
		}
		c.returns++
		c.stage = idle
	}
	return true
}

// begin a migration if the source can be migrated.
func (c *controller) begin() bool {
	source := c.w.pods[0]
	if c.enough || source.gate == nil {
		return false
	}
	if s := source.gate.Status(); s.Mode != control.ModeOpen || s.Consumers == 0 || len(s.Refusals) > 0 {
		return false
	}
	c.migrations++
	c.epoch, c.cut, c.source, c.target, c.checkpoint, c.began = 1, control.Cut{}, source, nil, nil, time.Now()
	c.stage, c.why = holding, ""
	source.stopped = nil
	return true
}

// observe both gates; what is broken is rolled back.
func (c *controller) observe() (source, target control.Status, ok bool) {
	if c.source.gate == nil || c.target.gate == nil {
		return source, target, false
	}
	source, target = c.source.gate.Status(), c.target.gate.Status()
	switch {
	case source.Broken != "":
		c.rollBack("source: " + source.Broken)
	case target.Broken != "":
		c.rollBack("target: " + target.Broken)
	case c.target.app.crashed:
		c.rollBack("the restored app crashed")
	default:
		return source, target, true
	}
	return source, target, false
}

// commit is the point of no return.
func (c *controller) commit() {
	require.NotNil(c.w, c.source.stopped)
	require.Equal(c.w, c.source.stopped.chain, c.target.app.chain, "the target's state is the source's")
	require.Equal(c.w, c.source.stopped.applied, c.target.app.applied)
	c.epoch = 2
	c.stage = activating
}
