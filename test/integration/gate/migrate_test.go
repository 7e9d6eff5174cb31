//go:build integration

package gate

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// migration of an app from gate to gate, step by step.
type migration struct {
	t              *testing.T
	id, log        string
	epoch          int64
	source, target *gateProcess
	app, moved     *app
	cut            control.Cut
}

func newMigration(t *testing.T, source *gateProcess, a *app) *migration {
	id := fmt.Sprintf("%s-%d", a.in, len(a.uri))
	return &migration{t: t, id: id, log: "ms2m.replay." + id, epoch: 1, source: source, app: a}
}

func (m *migration) command() control.Command {
	m.epoch++
	return control.Command{Migration: m.id, Epoch: m.epoch}
}

func (m *migration) hold() {
	m.t.Helper()
	cut, err := m.source.Hold(context.Background(), control.HoldRequest{Command: m.command(), DrainMillis: 10000, ValidMillis: 60000, Log: m.log})
	require.NoError(m.t, err)
	m.cut = cut
	require.Equal(m.t, control.ModeHeld, m.source.status().Mode)
}

// checkpoint the app, and start what is restored from it beside a closed gate.
func (m *migration) checkpoint() {
	m.t.Helper()
	m.target = m.source.at.startGate(m.t, "closed")
	m.moved = m.app.restored(m.target)
	m.moved.start(m.t)
}

func (m *migration) release() {
	m.t.Helper()
	require.NoError(m.t, m.source.Release(context.Background(), control.ReleaseRequest{Command: m.command(), Token: m.cut.Token, Log: m.log}))
}

func (m *migration) replay() {
	m.t.Helper()
	require.NoError(m.t, m.target.Replay(context.Background(), control.ReplayRequest{Command: m.command(), Log: m.log}))
}

func (m *migration) handOver() {
	m.t.Helper()
	require.NoError(m.t, m.source.HandOver(context.Background(), m.command()))
	require.Equal(m.t, control.ModeHandedOver, m.source.status().Mode)
	m.target.awaitMode(control.ModeReplayed)
	require.Empty(m.t, m.source.status().Broken)
}

func (m *migration) commit() {
	m.t.Helper()
	require.NoError(m.t, m.target.Commit(context.Background(), m.command()))
	require.NoError(m.t, m.source.Fence(context.Background(), m.command()))
	require.Equal(m.t, control.ModeOpen, m.target.status().Mode)
	m.app.stop()
	m.source.at.requireNoQueue(m.t, m.log)
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

// applied waits until an app has applied n more messages.
func applied(t *testing.T, a *app, n uint64) {
	t.Helper()
	from := a.snapshot().Last
	eventually(t, fmt.Sprintf("%d more messages", n), func() bool { return a.snapshot().Last >= from+n })
}

func TestMigration(t *testing.T) {
	for _, rate := range []int{5, 50, 150} {
		for _, prefetch := range []int{1, 10, 100} {
			t.Run(fmt.Sprintf("rate=%d/prefetch=%d", rate, prefetch), func(t *testing.T) {
				t.Parallel()
				source := startGate(t, "open")
				a := &app{uri: source.uri(), in: queue(t, "in"), out: queue(t, "out"), prefetch: prefetch, service: 5e6}
				a.start(t)
				p := newProducer(t, a.in)
				stop := p.background(rate)
				some := uint64(max(3, rate/4))
				applied(t, a, some)
				m := newMigration(t, source, a)
				m.hold()
				m.checkpoint()
				m.release()
				applied(t, a, some)
				m.replay()
				applied(t, m.moved, some)
				m.handOver()
				s := source.status()
				require.Equal(t, s.Logged, m.target.status().Replayed)
				require.Equal(t, s.Outputs, m.target.status().Outputs)
				require.Equal(t, a.snapshot(), m.moved.snapshot())
				m.commit()
				applied(t, m.moved, some)
				stop()
				requireExact(t, p, m.moved)
			})
		}
	}
}
