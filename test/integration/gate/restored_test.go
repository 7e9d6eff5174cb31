//go:build integration

package gate

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// restoredWrong is what a restored app does that the source's would not have done, and what its gate says.
var restoredWrong = map[string]struct {
	change func(*app)
	also   func(*scene)
	says   string
}{
	"other outputs": {change: func(a *app) { a.state.Chain[0] ^= 1 }, says: "the target published other outputs than the source"},
	"one more consumer": {also: func(s *scene) {
		_, err := through(s.t, s.target).Consume(s.app.in, "", false, false, false, false, nil)
		require.NoError(s.t, err)
	}, says: "the source had 1 consumers, the target has 2"},
	"a purge": {also: func(s *scene) {
		ch := through(s.t, s.target)
		go func() { _, _ = ch.QueuePurge(s.app.in, false) }()
	}, says: "which has effects that cannot be taken back"},
	"a queue that does not exist": {also: func(s *scene) {
		_, err := through(s.t, s.target).QueueDeclare(s.app.in+".new", false, false, false, false, nil)
		require.ErrorContains(s.t, err, "NOT_FOUND")
	}, says: "the broker closed a channel: 404"},
}

// TestRestoredAppDiffers: it is noticed before the commit, and the source goes on.
func TestRestoredAppDiffers(t *testing.T) {
	for name, wrong := range restoredWrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, nil)
			s.hold()
			s.target = startGate(t, "closed")
			s.moved = s.app.restored(s.target)
			if wrong.change != nil {
				wrong.change(s.moved)
			}
			s.moved.start(t)
			s.release()
			s.replay()
			applied(t, s.moved, 10)
			if wrong.also != nil {
				wrong.also(s)
			}
			require.NoError(t, s.source.HandOver(context.Background(), s.command()))
			eventually(t, "broken", func() bool { return s.target.status().Broken != "" })
			require.Contains(t, s.target.status().Broken, wrong.says)
			requireReason(t, control.ReasonBroken, s.target.Commit(context.Background(), s.command()))
			s.moved.stop()
			s.resume()
			s.exact()
		})
	}
}

// TestRestoredAppConsumesAnotherQueue: the replay waits for the source's consumer, and can be taken back.
func TestRestoredAppConsumesAnotherQueue(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.hold()
	s.target = startGate(t, "closed")
	s.moved = s.app.restored(s.target)
	s.moved.in = queue(t, "other")
	s.moved.start(t)
	s.release()
	s.replay()
	eventually(t, "the restored app has subscribed", func() bool { return s.target.status().Consumers == 1 })
	require.NoError(t, s.source.HandOver(context.Background(), s.command()))
	requireReason(t, control.ReasonNotReplayed, s.target.Commit(context.Background(), s.command()))
	require.Zero(t, s.target.status().Replayed)
	s.moved.stop()
	s.resume()
	s.exact()
}

// TestRestoredAppReconnectsLate: the replay waits for it, also when the source has handed over long before.
func TestRestoredAppReconnectsLate(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.hold()
	s.target = startGate(t, "closed")
	s.moved = s.app.restored(s.target)
	s.release()
	applied(t, s.app, 10)
	s.replay()
	require.NoError(t, s.source.HandOver(context.Background(), s.command()))
	require.Equal(t, control.ModeReplaying, s.target.status().Mode)
	s.moved.start(t)
	s.target.awaitMode(control.ModeReplayed)
	s.commit()
	applied(t, s.moved, 10)
	s.stop()
	requireExact(t, s.p, s.moved)
}

// TestRestoredAppReconnectsAfterCommit: its state is exact, and it has nothing to do before.
func TestRestoredAppReconnectsAfterCommit(t *testing.T) {
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
