//go:build integration

package gate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// fault strikes a scene. It keeps migrations from ending exactly in the phases of breaks, from the first to the last;
// they roll back, and in the other phases they commit.
type fault struct {
	strike func(*scene)
	// earliest phase in which it can strike.
	earliest string
	breaks   [2]string
}

var (
	never = [2]string{}
	// whileSourceNeeded: later the source has given all it has to give.
	whileSourceNeeded = [2]string{"Holding", "HandingOver"}
	// whileTargetNeeded: later all is verified, and before nothing was begun.
	whileTargetNeeded = [2]string{"Replaying", "HandedOver"}
	whileEitherNeeded = [2]string{"Holding", "HandedOver"}
)

var faults = map[string]fault{
	"nothing":                  {func(*scene) {}, "Open", never},
	"source gate crashes":      {func(s *scene) { s.source.restart() }, "Open", whileSourceNeeded},
	"source connection resets": {func(s *scene) { s.source.app.cut() }, "Open", whileSourceNeeded},
	"source channel error":     {func(s *scene) { s.app.err() }, "Open", whileSourceNeeded},
	"source app crashes":       {func(s *scene) { s.app.stop(); s.app.start(s.t) }, "Open", whileSourceNeeded},
	"source log resets":        {func(s *scene) { s.source.log.cut() }, "Open", whileSourceNeeded},
	"target gate crashes":      {func(s *scene) { s.target.restart() }, "Logging", whileTargetNeeded},
	"target connection resets": {func(s *scene) { s.target.app.cut() }, "Logging", whileTargetNeeded},
	"target channel error":     {func(s *scene) { s.moved.err() }, "Replaying", whileTargetNeeded},
	"target app crashes":       {func(s *scene) { s.moved.stop(); s.moved.start(s.t) }, "Logging", whileTargetNeeded},
	// Whether the target has read END when the source has handed over is a matter of chance.
	"target log resets": {func(s *scene) {
		if s.source.status().Mode != "HandedOver" {
			s.target.log.cut()
		}
	}, "Logging", [2]string{"Replaying", "HandingOver"}},
}

// strikes tells whether the fault can strike in a phase, and whether the migration is then rolled back.
func (f fault) strikes(phase int) (can, breaks bool) {
	from, to := phaseIndex(f.breaks[0]), phaseIndex(f.breaks[1])
	return phase >= phaseIndex(f.earliest), from >= 0 && from <= phase && phase <= to
}

// require the outcome: committed or rolled back, with nothing lost, doubled or reordered.
func (f fault) require(s *scene, struck int, rolledBack error) {
	s.t.Helper()
	_, breaks := f.strikes(struck)
	require.Equal(s.t, breaks, rolledBack != nil, "rolled back: %v", rolledBack)
	survivor := s.moved
	if rolledBack != nil {
		s.t.Log("rolled back:", rolledBack)
		survivor = s.app
	}
	if rolledBack == nil {
		require.Equal(s.t, control.ModeFenced, s.source.status().Mode)
	}
	applied(s.t, survivor, 10)
	s.stop()
	s.kept(survivor)
}

// kept requires that nothing was lost, doubled or reordered, and that nobody else consumes. After a break, deliveries that the broker marks as such may
// come again, and the output of one whose confirm was lost.
func (s *scene) kept(a *app) {
	s.t.Helper()
	eventually(s.t, "all applied", func() bool { return a.snapshot().Last >= s.p.want.Last })
	got := a.snapshot()
	got.Redone = 0
	require.Equal(s.t, s.p.want, got)
	requireOutputs(s.t, s.p, a, 1)
	q, err := s.p.at.channel(s.t).QueueDeclarePassive(a.in, true, false, false, false, nil)
	require.NoError(s.t, err)
	require.Equal(s.t, 1, q.Consumers, "instances that are active")
}

func TestFaults(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) { f.everywhere(t, nil) })
	}
}

// TestFaultsBetweenBatches: the same for an app that acknowledges in batches.
func TestFaultsBetweenBatches(t *testing.T) {
	for _, name := range []string{"nothing", "source connection resets", "target gate crashes"} {
		t.Run(name, func(t *testing.T) { faults[name].everywhere(t, func(a *app) { a.batch = 5 }) })
	}
}

// everywhere strikes one scene in each phase.
func (f fault) everywhere(t *testing.T, change func(*app)) {
	for i, p := range phases {
		if can, _ := f.strikes(i); !can {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, change)
			s.advance(i)
			f.strike(s)
			f.require(s, i, s.conclude(i))
			s.source.at.requireNoQueue(t, s.log)
		})
	}
}

// TestRollback: until the commit the source can be taken back, also by a gate that has restarted, and goes on as if
// nothing had happened.
func TestRollback(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for i, p := range phases[:phaseIndex(committed)] {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, nil)
				s.advance(i)
				if crash {
					s.source.restart()
				}
				s.rollBack()
				applied(t, s.app, 10)
				s.stop()
				s.kept(s.app)
				s.source.at.requireNoQueue(t, s.log)
			})
		}
	}
}
