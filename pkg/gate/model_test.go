package gate

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// kind of a step of an interleaving; its argument chooses among what there is to choose from. do returns false when there
// was nothing to do.
type kind struct {
	name string
	// weight of its chance; faults have theirs in storms only.
	weight int
	fault  bool
	// heals: it leads on towards the end.
	heals bool
	do    func(w *world, arg int) bool
}

func choose[T any](all []T, arg int, do func(T)) bool {
	if len(all) == 0 {
		return false
	}
	do(all[arg%len(all)])
	return true
}

// kinds of steps.
var kinds []kind

func init() {
	kinds = []kind{
		{name: "move", weight: 120, heals: true, do: func(w *world, arg int) bool { return choose(w.waiting(), arg, (*pipe).move) }},
		{name: "deliver", weight: 20, heals: true, do: func(w *world, arg int) bool { return choose(w.b.hungry(false), arg, (*subscription).deliver) }},
		{name: "confirm", weight: 15, heals: true, do: func(w *world, arg int) bool {
			return choose(w.b.unconfirmed(), arg/2, func(l *lane) { l.confirm(arg%2 == 0) })
		}},
		{name: "work", weight: 40, heals: true, do: (*world).work},
		{name: "connect", weight: 8, heals: true, do: (*world).connect},
		{name: "boot", weight: 2, heals: true, do: (*world).bootGate},
		{name: "advance", weight: 12, heals: true, do: func(w *world, _ int) bool { return w.c.advance() }},
		{name: "produce", weight: 10, do: func(w *world, arg int) bool { w.produce(arg); return true }},
		{name: "pass", weight: 4, do: func(w *world, _ int) bool { time.Sleep(25 * time.Millisecond); return true }},
		{name: "linger", weight: 1, do: func(w *world, arg int) bool { w.linger = arg; return true }},

		{name: "lose-line", weight: 10, fault: true, do: func(w *world, arg int) bool { return choose(w.lines(), arg, (*line).lose) }},
		{name: "lose-peer", weight: 10, fault: true, do: func(w *world, arg int) bool { return choose(w.b.peers, arg, (*peer).lose) }},
		{name: "close-channel", weight: 10, fault: true, do: func(w *world, arg int) bool { return choose(w.rooms(), arg, (*room).close) }},
		{name: "refuse-channel", weight: 10, fault: true, do: func(w *world, arg int) bool {
			return choose(w.lanes(), arg, func(l *lane) { l.refuse(406, "PRECONDITION_FAILED - by chance") })
		}},
		{name: "crash-app", weight: 6, fault: true, do: func(w *world, arg int) bool {
			return choose(w.pods, arg, func(p *pod) { p.app.crash() })
		}},
		{name: "kill-gate", weight: 10, fault: true, do: func(w *world, arg int) bool { return choose(w.pods, arg, (*pod).kill) }},
		{name: "stop-broker", weight: 3, fault: true, do: func(w *world, _ int) bool { w.stopBroker(); return true }},
		{name: "start-broker", weight: 5, fault: true, do: func(w *world, _ int) bool { w.away = false; return true }},
		{name: "crash-controller", weight: 15, fault: true, do: func(w *world, _ int) bool { w.c.crash(); return true }},
		{name: "late", weight: 15, fault: true, do: (*world).late},
		{name: "disk", weight: 4, fault: true, do: func(w *world, arg int) bool {
			return choose(w.pods, arg/2, func(p *pod) { p.full = arg%2 == 0 })
		}},
		{name: "stall-log", weight: 4, fault: true, do: func(w *world, arg int) bool { w.stalled = arg%2 == 0; return true }},
		{name: "wait", weight: 2, fault: true, do: func(w *world, arg int) bool { time.Sleep(time.Duration(1+arg%40) * time.Second); return true }},
		{name: "fail-app", weight: 6, fault: true, do: func(w *world, arg int) bool {
			return choose(w.pods, arg, func(p *pod) { p.app.failing = true })
		}},
		{name: "stray", weight: 5, fault: true, do: func(w *world, arg int) bool {
			return choose(w.pods, arg, func(p *pod) { p.app.stray() })
		}},
		{name: "declare", weight: 5, fault: true, do: func(w *world, arg int) bool { return choose(w.rooms(), arg, (*room).declare) }},
		{name: "change-app", weight: 3, fault: true, do: (*world).changeApp},
	}
}

// step of an interleaving.
type step struct {
	kind string
	arg  int
}

func (s step) String() string { return s.kind + "/" + strconv.Itoa(s.arg) }

func (s step) do(w *world) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == s.kind })
	require.GreaterOrEqual(w, i, 0, "unknown step %q", s.kind)
	w.calm = w.calm && !kinds[i].fault
	kinds[i].do(w, s.arg)
	w.settle()
	w.check()
}

// outcome of an interleaving.
type outcome struct {
	failure          string
	steps            []step
	commits, returns int
}

// interleave steps until next has no more, then let all faults heal, and judge.
func interleave(t *testing.T, pl plan, calm bool, next func() (step, bool)) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(pl, calm)
		defer w.tearDown()
		defer func() {
			o.commits, o.returns = w.c.commits, w.c.returns
			switch f := recover().(type) {
			case nil:
			case failure:
				o.failure = string(f) + "\n" + w.state()
			default:
				panic(f)
			}
		}()
		for s, more := next(); more; s, more = next() {
			o.steps = append(o.steps, s)
			s.do(w)
		}
		w.heal()
		w.judge()
	})
	return o
}

// replay the steps of an interleaving.
func replayed(t *testing.T, pl plan, calm bool, steps []step) outcome {
	return interleave(t, pl, calm, func() (s step, more bool) {
		if len(steps) == 0 {
			return s, false
		}
		s, steps = steps[0], steps[1:]
		return s, true
	})
}

// byChance makes an interleaving.
func byChance(t *testing.T, seed uint64) (pl plan, calm bool, o outcome) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	pl = randomPlan(rnd)
	calm = rnd.IntN(3) == 0
	every := []int{30, 100, 300, 1000}[rnd.IntN(4)] // steps between faults
	left := rnd.IntN(4000)
	o = interleave(t, pl, calm, func() (step, bool) {
		left--
		k := draw(rnd, !calm && rnd.IntN(every) == 0)
		return step{k.name, rnd.IntN(256)}, left > 0
	})
	return pl, calm, o
}

// draw a kind of step by its weight.
func draw(rnd *rand.Rand, fault bool) kind {
	sum := 0
	for _, k := range kinds {
		if k.fault == fault {
			sum += k.weight
		}
	}
	n := rnd.IntN(sum)
	for _, k := range kinds {
		if k.fault == fault {
			if n -= k.weight; n < 0 {
				return k
			}
		}
	}
	panic("no kind of step")
}

func randomPlan(rnd *rand.Rand) plan {
	pl := plan{
		Queues: 1 + rnd.IntN(3), Confirms: rnd.IntN(3) > 0, Batch: []int{1, 1, 2, 3}[rnd.IntN(4)],
		Tags: []string{"fixed", "same", "counted", "server's"}[rnd.IntN(4)], Pipelined: rnd.IntN(3) == 0,
	}
	at := func() place { return place{rnd.IntN(2), uint16(1 + rnd.IntN(2))} }
	pl.Publisher = at()
	for q := range pl.Queues {
		pl.Consumers = append(pl.Consumers, seat{at(), q})
	}
	if rnd.IntN(3) == 0 {
		pl.Consumers = append(pl.Consumers, seat{at(), 0})
	}
	pl.Prefetch = pl.Batch * (1 + rnd.IntN(4))
	if rnd.IntN(4) == 0 && pl.oneEach() {
		pl.All, pl.Prefetch = true, pl.Batch
	}
	if pl.Tags == "same" && !pl.oneEach() {
		pl.Tags = "fixed" // tags are unique on a channel
	}
	return pl
}

// oneEach tells whether no channel has two consumers.
func (p plan) oneEach() bool {
	seen := map[place]bool{}
	for _, s := range p.Consumers {
		if seen[s.place] {
			return false
		}
		seen[s.place] = true
	}
	return true
}

// minimise the steps of an interleaving that fails, as long as it still does.
func minimise(t *testing.T, pl plan, calm bool, steps []step) []step {
	fails := func(steps []step) bool { return replayed(t, pl, calm, steps).failure != "" }
	for size := len(steps) / 2; size > 0; {
		shorter := false
		for i := 0; i+size <= len(steps); {
			if try := slices.Concat(steps[:i], steps[i+size:]); fails(try) {
				steps, shorter = try, true
			} else {
				i += size
			}
		}
		if !shorter || size > len(steps) {
			size /= 2
		}
	}
	return steps
}

// TestMigrationsAreExact: in random interleavings of frames, work, faults and migrations, every message is applied once
// and in order, every output is published once and in order, never two instances are active, and in the end one is.
func TestMigrationsAreExact(t *testing.T) {
	var sum outcome
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.Uint64().Draw(r, "seed")
		pl, calm, o := byChance(t, seed)
		sum.commits, sum.returns = sum.commits+o.commits, sum.returns+o.returns
		if o.failure != "" {
			report(t, seed, pl, calm, o)
		}
	})
	t.Logf("%d commits, %d rollbacks", sum.commits, sum.returns)
	require.Positive(t, sum.commits, "interleavings must come to commits, else they prove nothing")
}

func report(t *testing.T, seed uint64, pl plan, calm bool, o outcome) {
	t.Helper()
	short := minimise(t, pl, calm, o.steps)
	if again := replayed(t, pl, calm, short); again.failure != "" {
		o = again
	}
	text := make([]string, len(short))
	for i, s := range short {
		text[i] = s.String()
	}
	t.Fatalf("%s\n\nseed %d, as a named test:\n{plan: %#v, calm: %v, steps: %q}", o.failure, seed, pl, calm, strings.Join(text, " "))
}
