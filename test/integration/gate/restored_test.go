//go:build integration

package gate

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

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
