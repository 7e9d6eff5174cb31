//go:build integration

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// phase of a migration. to leads there from the phase before, and says why when it does not.
type phase struct {
	name string
	to   func(*scene) error
}

// phases in the order in which the controller goes through them. Holding, HandingOver and HandedOver last until the app
// that is stalled goes on.
var phases = []phase{
	{"Open", func(*scene) error { return nil }},
	{"Holding", (*scene).beginHold},
	{"Held", (*scene).endHold},
	{"Logging", (*scene).beginLogging},
	{"Replaying", (*scene).beginReplay},
	{"HandingOver", (*scene).beginHandOver},
	{"HandedOver", (*scene).endHandOver},
	{"Replayed", (*scene).endReplay},
	{committed, (*scene).beCommitted},
	{"Fenced", (*scene).fence},
}

// committed is the point of no return.
const committed = "Committed"

func phaseIndex(name string) int {
	return slices.IndexFunc(phases, func(p phase) bool { return p.name == name })
}

// advance to a phase from Open.
func (s *scene) advance(to int) {
	s.t.Helper()
	for _, p := range phases[:to+1] {
		require.NoError(s.t, p.to(s), p.name)
	}
}

// conclude goes on from a phase as the controller does: forward, or back if the migration cannot end exactly and is not
// committed. The error says why it was rolled back.
func (s *scene) conclude(from int) error {
	s.t.Helper()
	for i := from + 1; i < len(phases); i++ {
		decided := i > phaseIndex(committed)
		var err error
		if !decided {
			err = s.broken()
		}
		if err == nil {
			err = phases[i].to(s)
		}
		if err != nil {
			require.False(s.t, decided, "after the commit: %v", err)
			s.rollBack()
			return fmt.Errorf("%s: %w", phases[i].name, err)
		}
	}
	return nil
}

// rollBack what has not been committed.
func (s *scene) rollBack() {
	s.t.Helper()
	s.goOn()
	if s.moved != nil {
		s.moved.stop()
	}
	s.resume()
	require.Equal(s.t, control.ModeOpen, s.source.status().Mode)
	require.Empty(s.t, s.source.status().Broken)
}

// goOn lets the apps that are stalled go on.
func (s *scene) goOn() {
	for _, goOn := range s.stalled {
		goOn()
	}
	s.stalled = nil
}

// stall an app in the middle of a message.
func (s *scene) stall(a *app) error {
	stalled, goOn := a.stall()
	s.stalled = append(s.stalled, goOn)
	return s.until("the app gets a message", stalled)
}

// broken says why the migration cannot end exactly any more.
func (s *scene) broken() error {
	for _, g := range []*gateProcess{s.source, s.target} {
		if g == nil {
			continue
		}
		if reason := g.status().Broken; reason != "" {
			return errors.New(reason)
		}
	}
	return nil
}

// until waits for a condition, or for what keeps it from ever holding.
func (s *scene) until(what string, holds func() bool) (err error) {
	s.t.Helper()
	eventually(s.t, what, func() bool {
		if err = s.broken(); err != nil {
			return true
		}
		return holds()
	})
	return err
}

func (s *scene) untilApplied(a *app, n uint64) error {
	s.t.Helper()
	from := a.snapshot().Last
	return s.until(fmt.Sprintf("%d more messages", n), func() bool { return a.snapshot().Last >= from+n })
}

// begin a command that waits for the app.
func (s *scene) begin(mode control.Mode, command func(context.Context) error) error {
	s.t.Helper()
	result := make(chan error, 1)
	s.result = result
	go func() { result <- command(context.Background()) }()
	return s.until("mode "+string(mode), func() bool { return s.source.status().Mode == mode })
}

func (s *scene) beginHold() error {
	subscribed := func() bool { return s.source.status().Consumers > 0 }
	if err := s.until("the app has subscribed", subscribed); err != nil {
		return err
	}
	if err := s.stall(s.app); err != nil {
		return err
	}
	r := control.HoldRequest{
		Command: s.command(), Log: s.log, DrainMillis: patience.Milliseconds(), ValidMillis: time.Hour.Milliseconds(),
	}
	return s.begin(control.ModeHolding, func(ctx context.Context) (err error) {
		s.cut, err = s.source.Hold(ctx, r)
		return err
	})
}

func (s *scene) endHold() error {
	s.goOn()
	return <-s.result
}

func (s *scene) beginLogging() error {
	s.checkpoint()
	err := s.source.Release(context.Background(), control.ReleaseRequest{Command: s.command(), Token: s.cut.Token, Log: s.log})
	if err != nil {
		return err
	}
	return s.untilApplied(s.app, 10)
}

func (s *scene) beginReplay() error {
	err := s.target.Replay(context.Background(), control.ReplayRequest{Command: s.command(), Log: s.log})
	if err != nil {
		return err
	}
	return s.untilApplied(s.moved, 5)
}

func (s *scene) beginHandOver() error {
	if err := errors.Join(s.stall(s.moved), s.stall(s.app)); err != nil {
		return err
	}
	r := s.command()
	return s.begin(control.ModeHandingOver, func(ctx context.Context) error { return s.source.HandOver(ctx, r) })
}

func (s *scene) endHandOver() error {
	last := len(s.stalled) - 1
	s.stalled[last]()
	s.stalled = s.stalled[:last]
	return <-s.result
}

func (s *scene) endReplay() error {
	s.goOn()
	return s.until("target has replayed", func() bool { return s.target.status().Mode == control.ModeReplayed })
}

func (s *scene) beCommitted() error {
	require.Equal(s.t, s.app.snapshot(), s.moved.snapshot())
	return s.target.Commit(context.Background(), s.command())
}

func (s *scene) fence() error {
	err := s.source.Fence(context.Background(), s.command())
	s.app.stop()
	return err
}
