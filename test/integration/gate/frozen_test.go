//go:build integration

package gate

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// frozen says what a command comes to while the broker is frozen, in which phase.
var frozen = map[string]struct {
	in string
	do func(*scene)
}{
	"hold": {"Open", func(s *scene) {
		_, err := s.source.Hold(context.Background(), control.HoldRequest{Command: s.command(), Log: s.log, DrainMillis: 1000, ValidMillis: 1000})
		require.Error(s.t, err)
		require.Equal(s.t, control.ModeOpen, s.source.status().Mode)
	}},
	"release": {"Held", func(s *scene) {
		r := control.ReleaseRequest{Command: s.command(), Token: s.cut.Token, Log: s.log}
		require.Error(s.t, s.source.Release(context.Background(), r))
		s.resume()
	}},
	"resume of what is held":        {"Held", (*scene).resume},
	"resume of what is logging":     {"Logging", (*scene).resume},
	"resume of what hands over":     {"HandingOver", (*scene).rollBack},
	"resume of what is handed over": {"Replayed", (*scene).rollBack},
	"hand-over": {"Replaying", func(s *scene) {
		r := s.command()
		// It begins, unless connections have died meanwhile for want of heartbeats.
		_ = s.begin(control.ModeHandingOver, func(ctx context.Context) error { return s.source.HandOver(ctx, r) })
		s.rollBack()
		require.Error(s.t, <-s.result)
	}},
	"commit": {"Replayed", func(s *scene) {
		require.NoError(s.t, s.beCommitted())
		require.NoError(s.t, s.fence())
		require.Equal(s.t, control.ModeOpen, s.target.status().Mode)
	}},
}

// TestFrozenBroker: no command waits for the broker without end, and none loses anything for it.
func TestFrozenBroker(t *testing.T) {
	b := startBroker(t)
	scenes := map[string]*scene{}
	for name, f := range frozen {
		s := siteOf(b).newScene(t, nil)
		s.advance(phaseIndex(f.in))
		s.pause()
		scenes[name] = s
	}
	require.NoError(t, b.Freeze())
	t.Run("while frozen", func(t *testing.T) {
		for name, f := range frozen {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				scenes[name].in(t)
				f.do(scenes[name])
			})
		}
	})
	require.NoError(t, b.Thaw())
	for name, s := range scenes {
		t.Run("after "+name, func(t *testing.T) {
			s.in(t)
			s.proceed()
			survivor := s.app
			if s.target != nil && s.target.status().Mode == control.ModeOpen {
				survivor = s.moved
				require.NoError(t, s.target.Commit(t.Context(), s.command())) // again, which deletes the log
			} else {
				s.rollBack()
			}
			applied(t, survivor, 10)
			s.stop()
			s.kept(survivor)
			s.source.at.requireNoQueue(t, s.log)
		})
	}
}

func TestTokenExpires(t *testing.T) {
	b := startBroker(t)
	for name, frozen := range map[string]bool{"": false, "while the broker is frozen": true} {
		t.Run(name, func(t *testing.T) {
			s := siteOf(b).newScene(t, nil)
			hold := control.HoldRequest{Command: s.command(), Log: s.log, DrainMillis: patience.Milliseconds(), ValidMillis: 300}
			cut, err := s.source.Hold(t.Context(), hold)
			require.NoError(t, err)
			require.True(t, cut.Expires.After(cut.HeldSince))
			if frozen {
				require.NoError(t, b.Freeze())
			}
			eventually(t, "the app goes on", func() bool { return s.source.status().Mode == control.ModeOpen })
			require.NoError(t, b.Thaw())
			err = s.source.Release(t.Context(), control.ReleaseRequest{Command: s.command(), Token: cut.Token, Log: s.log})
			requireReason(t, control.ReasonTokenExpired, err)
			s.resume()
			applied(t, s.app, 10)
			s.stop()
			s.kept(s.app)
			s.source.at.requireNoQueue(t, s.log)
		})
	}
}
