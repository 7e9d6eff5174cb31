package gate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// memoryLog takes the records of a source.
type memoryLog struct{ w *world }

func (m memoryLog) Append(record []byte) { m.w.log = append(m.w.log, record) }
func (m memoryLog) Confirmed() uint64    { return uint64(len(m.w.log)) }

// migrationModel moves the app of a world from gate to gate, one step at a time.
type migrationModel struct {
	w              *world
	source, target *instance
	stage          int
	answered       func() bool
	read           int
	digest         replaylog.Digest
}

// advance by a step if the time for it has come.
func (m *migrationModel) advance() bool {
	c := m.source.c
	switch m.stage {
	case 0:
		if len(c.consumersOf("")) == 0 {
			return false // refused
		}
		c.setMode(control.ModeHolding)
	case 1, 6:
		if m.stage == 1 && !c.settled() || m.stage == 6 && !c.stopped() || !m.source.quiet() {
			return false
		}
		m.answered = c.sync()
	case 2:
		if !m.answered() {
			return false
		}
		if !c.settled() || !m.source.quiet() {
			m.stage--
			return true
		}
		c.setMode(control.ModeHeld)
		c.cut()
		require.Empty(m.w, m.source.got, "the app stands between two messages")
		require.Zero(m.w, m.source.unsettled)
		require.Equal(m.w, m.source.published, m.source.confirmed)
		require.Equal(m.w, int(m.source.app.last), len(m.w.outputs))
		m.target = newInstance(m.w, control.ModeReplaying, m.source.app, m.source.prefetch, m.source.batch)
		m.target.published, m.target.confirmed = m.source.published, m.source.confirmed
		m.w.log, m.read, m.digest = nil, 0, replaylog.Digest{}
	case 3:
		c.log = memoryLog{m.w}
		c.setMode(control.ModeLogging)
	case 4: // the log grows for a while
	case 5:
		c.setMode(control.ModeHandingOver)
		if m.source.batch > 1 {
			c.pausing = true
		}
		for _, a := range c.consumersOf("") {
			a.ch.cancel(a.consumer)
		}
	case 7:
		if !m.answered() {
			return false
		}
		if !c.stopped() || !m.source.quiet() {
			m.stage--
			return true
		}
		c.setMode(control.ModeHandedOver)
		record, err := c.end().Append(nil)
		require.NoError(m.w, err)
		m.w.log = append(m.w.log, record)
	case 8:
		if !m.target.c.replayed() {
			return false
		}
		require.Empty(m.w, m.target.c.verify())
		require.Equal(m.w, m.source.app, m.target.app)
		m.target.c.setMode(control.ModeReplayed)
	case 9:
		m.target.c.goLive()
		m.target.c.setMode(control.ModeOpen)
		require.Empty(m.w, m.source.unacked, "nothing to requeue")
		m.source, m.target, m.stage = m.target, nil, -1
	}
	m.stage++
	m.collect()
	return true
}

// quiet tells whether all that the gate has written has arrived: what its outboxes tell in reality.
func (i *instance) quiet() bool { return len(i.gateToApp) == 0 && len(i.gateToBroker) == 0 }

func (m *migrationModel) collect() {
	m.source.collect()
	if m.target != nil {
		m.target.collect()
	}
}

// readLog lets the target read one record.
func (m *migrationModel) readLog() bool {
	if m.target == nil || m.read == len(m.w.log) {
		return false
	}
	b := m.w.log[m.read]
	m.read++
	entry, end, err := replaylog.Decode(b)
	require.NoError(m.w, err)
	if entry != nil {
		m.digest = m.digest.Next(b)
	}
	c := m.target.c
	c.replay.waiting = append(c.replay.waiting, replaylog.Record{Entry: entry, End: end, Digest: m.digest, Done: func() {}})
	c.pump()
	m.collect()
	return true
}

// rollBack before the commit: the source goes on.
func (m *migrationModel) rollBack() {
	if m.stage == 0 {
		return
	}
	m.source.c.reopen()
	m.source.c.log = nil
	m.target, m.stage = nil, 0
	m.collect()
}

// step of anything; kinds beyond those of the instances are the log's and the clock's.
func (m *migrationModel) step(kind int) bool {
	require.Empty(m.w, m.source.c.broken)
	switch kind {
	case 2 * kinds:
		return m.readLog()
	case 2*kinds + 1:
		// A second passes: apps that settle in batches have been quiet.
		m.source.c.progress = m.source.c.progress.Add(-time.Minute)
		m.source.c.pump()
		m.collect()
		return false
	}
	if kind < kinds {
		return m.source.step(kind)
	}
	if m.target == nil {
		return false
	}
	require.Empty(m.w, m.target.c.broken)
	return m.target.step(kind - kinds)
}

// settle lets everything come to rest without a controller.
func (m *migrationModel) settle() {
	for moved := true; moved; {
		moved = false
		for kind := range 2*kinds + 2 {
			for m.step(kind) {
				moved = true
			}
		}
	}
}

// TestMigrationsAreExact: in random interleavings of frames, work, migrations and rollbacks, every message is applied
// once and in order, and every output is published once and in order.
func TestMigrationsAreExact(t *testing.T) {
	commits := 0
	rapid.Check(t, func(t *rapid.T) {
		commits += interleave(t, rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 1).Draw(t, "rollbacks"))
	})
	require.Greater(t, commits, 50, "interleavings must come to commits, else they prove nothing")
}

// interleave by chance: rapid's own draws prefer small numbers, and would hardly ever come to a commit.
func interleave(t *rapid.T, seed uint64, rollbacks int) (commits int) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := &world{T: t}
	batch, prefetch := []int{1, 1, 3}[rnd.IntN(3)], []int{1, 4, 20}[rnd.IntN(3)]
	m := &migrationModel{w: w, source: newInstance(w, control.ModeOpen, state{}, max(prefetch, batch), batch)}
	for range rnd.IntN(6000) {
		switch what := rnd.IntN(2*kinds + 7); {
		case what < 2*kinds+2:
			m.step(what)
		case what < 2*kinds+4:
			w.sent++
			w.ready = append(w.ready, w.sent)
		case what < 2*kinds+6:
			if m.stage == 9 {
				commits++
			}
			if m.stage != 4 || rnd.IntN(20) == 0 { // the log may grow for a while
				m.advance()
			}
		default:
			if rollbacks > 0 && rnd.IntN(40) == 0 {
				m.rollBack()
			}
		}
	}
	m.rollBack()
	m.settle()
	var want state
	for n := uint64(1); n <= w.sent; n++ {
		want.apply(n)
	}
	require.Equal(t, want.last-want.last%uint64(batch), m.source.app.last-m.source.app.last%uint64(batch))
	require.Len(t, w.outputs, int(m.source.app.last))
	for i, n := range w.outputs {
		require.Equal(t, uint64(i+1), n, "outputs in order")
	}
	return commits
}

// TestRoundTripEndsWithItsConnection: a hold once waited for the answer of a connection that had ended, when another had
// begun meanwhile.
func TestRoundTripEndsWithItsConnection(t *testing.T) {
	c := newCore(control.ModeHolding)
	gone, comes := newLink(), newLink()
	gone.open(1)
	c.links[gone] = struct{}{}
	answered := c.sync()
	require.False(t, answered())
	c.lost(gone)
	c.links[comes] = struct{}{}
	comes.open(1)
	require.True(t, answered())
	require.Empty(t, c.broken)
}
