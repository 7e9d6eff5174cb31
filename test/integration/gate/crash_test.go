//go:build integration

package gate

import (
	"context"
	"testing"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// kept requires that nothing was lost, doubled or reordered. After a crash, deliveries that the broker marks as such may
// come again.
func kept(t *testing.T, s *scene, a *app) {
	t.Helper()
	applied(t, a, 10)
	s.stop()
	eventually(t, "all applied", func() bool { return a.snapshot().Last >= s.p.want.Last })
	got := a.snapshot()
	got.Redone = 0
	require.Equal(t, s.p.want, got)
}

// TestSourceCrashes: the gate's crash before END lets the source go on, and says that the migration is broken.
func TestSourceCrashes(t *testing.T) {
	steps := map[string]func(*scene){
		"Open":    func(*scene) {},
		"Held":    func(s *scene) { s.hold() },
		"Logging": func(s *scene) { s.hold(); s.release(); applied(s.t, s.app, 10) },
	}
	for mode, to := range steps {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, nil)
			to(s)
			s.source.restart()
			status := s.source.status()
			require.Equal(t, control.ModeOpen, status.Mode)
			require.Equal(t, mode != "Open", status.Broken != "")
			applied(t, s.app, 10)
			s.resume()
			require.Empty(t, s.source.status().Broken)
			kept(t, s, s.app)
			requireNoQueue(t, s.log)
		})
	}
}

// handedOver brings a scene to where the source has handed over and the target has replayed.
func handedOver(s *scene) {
	s.hold()
	s.checkpoint()
	s.release()
	applied(s.t, s.app, 10)
	s.replay()
	s.handOver()
}

func TestSourceCrashesHandedOverAndIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	handedOver(s)
	s.moved.stop()
	before := s.app.snapshot()
	s.source.restart()
	require.Equal(t, control.ModeHandedOver, s.source.status().Mode)
	require.Empty(t, s.source.status().Broken)
	require.Equal(t, before, s.app.snapshot())
	s.resume()
	kept(t, s, s.app)
	requireNoQueue(t, s.log)
}

func TestSourceCrashesHandedOverAndTargetCommits(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	handedOver(s)
	s.source.restart()
	s.commit()
	kept(t, s, s.moved)
}

func TestSourceCrashesFenced(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	handedOver(s)
	s.commit()
	s.source.restart()
	require.Equal(t, control.ModeFenced, s.source.status().Mode)
	_, err := amqp091.Dial(s.source.uri())
	require.Error(t, err)
	kept(t, s, s.moved)
}

func TestTargetCrashes(t *testing.T) {
	steps := map[string]func(*scene){
		"Closed":    func(s *scene) { s.hold(); s.checkpoint(); s.release() },
		"Replaying": func(s *scene) { s.hold(); s.checkpoint(); s.release(); s.replay(); applied(s.t, s.moved, 10) },
	}
	for mode, to := range steps {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, nil)
			to(s)
			s.target.restart()
			status := s.target.status()
			require.Equal(t, control.ModeClosed, status.Mode)
			require.Equal(t, mode != "Closed", status.Broken != "")
			require.Error(t, s.target.Commit(context.Background(), s.command()))
			s.moved.stop()
			s.resume()
			s.exact()
		})
	}
}

func TestCommittedTargetCrashes(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	handedOver(s)
	s.commit()
	applied(t, s.moved, 10)
	s.target.restart()
	require.Equal(t, control.ModeOpen, s.target.status().Mode)
	kept(t, s, s.moved)
}

// TestAppBreaks: a connection of the app that ends makes the migration roll back, and the source goes on.
func TestAppBreaksWhileLogging(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.hold()
	s.release()
	s.app.stop()
	eventually(t, "broken", func() bool { return s.source.status().Broken != "" })
	requireReason(t, control.ReasonBroken, s.source.HandOver(context.Background(), s.command()))
	s.app.start(t)
	s.resume()
	kept(t, s, s.app)
}

func TestRestoredAppBreaksWhileReplaying(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.hold()
	s.checkpoint()
	s.release()
	s.replay()
	applied(t, s.moved, 5)
	s.moved.stop()
	eventually(t, "broken", func() bool { return s.target.status().Broken != "" })
	s.resume()
	s.exact()
}

// TestRestoredAppDiffers: outputs other than the source's are noticed before the commit.
func TestRestoredAppDiffers(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.hold()
	s.target = startGate(t, "closed")
	s.moved = s.app.restored(s.target)
	s.moved.state.Chain[0] ^= 1
	s.moved.start(t)
	s.release()
	applied(t, s.app, 10)
	s.replay()
	require.NoError(t, s.source.HandOver(context.Background(), s.command()))
	eventually(t, "broken", func() bool { return s.target.status().Broken != "" })
	require.Contains(t, s.target.status().Broken, "other outputs")
	requireReason(t, control.ReasonBroken, s.target.Commit(context.Background(), s.command()))
	s.moved.stop()
	s.resume()
	s.exact()
}

// TestUpstreamBreaksBeforeCommit: the target reconnects after it, its state is exact.
func TestRestoredAppReconnectsBeforeCommit(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	handedOver(s)
	s.moved.stop()
	require.NoError(t, s.target.Commit(context.Background(), s.command()))
	require.NoError(t, s.source.Fence(context.Background(), s.command()))
	s.app.stop()
	s.moved.start(t)
	applied(t, s.moved, 10)
	s.stop()
	requireExact(t, s.p, s.moved)
}

// TestTargetCrashesReplayed: END is verified, so the commit may have been decided already and must stay possible.
func TestTargetCrashesReplayed(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	handedOver(s)
	s.target.restart()
	status := s.target.status()
	require.Equal(t, control.ModeReplayed, status.Mode)
	require.Empty(t, status.Broken)
	s.commit()
	kept(t, s, s.moved)
}
