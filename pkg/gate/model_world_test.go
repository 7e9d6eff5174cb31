package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// world is a model of everything around gates, in a synctest bubble: a broker, apps, nodes, a controller. Frames move one
// at a time, when the interleaving says so; the gates are real.
type world struct {
	// mu guards what gates' own goroutines touch: pipes, peers, results of commands.
	mu    sync.Mutex
	b     *broker
	pipes []*pipe
	pods  []*pod
	c     *controller
	plan  plan
	// calm: no fault has happened, so that nothing may be redelivered or repeated.
	calm bool
	// away: the broker is down. stalled: the log's frames wait.
	away, stalled bool
	// change of the next restored app's plan.
	change       *plan
	drain, valid time.Duration
	// linger counts the looks that the controller lets the log grow.
	linger int
	// repeats and lacks are outputs that a broken connection may have repeated or lost.
	repeats, lacks map[string]bool
	trace          []string
}

// failure unwinds an interleaving that went wrong.
type failure string

// Errorf and FailNow make the world a require.TestingT.
func (w *world) Errorf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}
func (w *world) FailNow() { panic(failure(strings.Join(w.trace, "\n"))) }

func (w *world) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	w.FailNow()
}

func newWorld(pl plan, calm bool) *world {
	w := &world{plan: pl, calm: calm, repeats: map[string]bool{}, lacks: map[string]bool{}, drain: 5 * time.Second, valid: 30 * time.Second}
	if calm {
		w.drain, w.valid = time.Hour, time.Hour
	}
	w.b = &broker{w: w, queues: map[string]*queue{}}
	w.c = &controller{w: w}
	for i := range pl.Queues {
		w.b.queue(queueName(i))
	}
	p := w.newPod("pod0", control.ModeOpen)
	p.app = newApp(w, p, pl)
	return w
}

func (w *world) peersOf(pod string) (all []*peer) {
	for _, s := range w.b.peers {
		if s.pod == pod {
			all = append(all, s)
		}
	}
	return all
}

// mayRepeat outputs: a connection broke before they were confirmed.
func (w *world) mayRepeat(ids []string) {
	for _, id := range ids {
		w.repeats[id] = true
	}
}

// mayLack outputs that the broker has not taken when their connection breaks, of an app that does not ask for confirms.
func (w *world) mayLack(ids []string) {
	if w.plan.Confirms {
		return
	}
	for _, id := range ids {
		if !slices.Contains(w.b.outputs, id) {
			w.lacks[id] = true
		}
	}
}

// published at the broker by a pod.
func (w *world) published(pod, body string) {
	id := strings.TrimRight(body, ".")
	if slices.Contains(w.b.outputs, id) {
		require.True(w, w.repeats[id], "output %s is doubled by %s", id, pod)
	}
	w.b.outputs = append(w.b.outputs, id)
}

// unknownTag at the broker: only after a fault may an app settle what the broker has forgotten.
func (w *world) unknownTag(l *lane, tag uint64) {
	w.Fatalf("pod %s settles the unknown delivery tag %d", l.s.pod, tag)
}

// expelled channel of an app.
func (w *world) expelled(_ *room, code uint16, text string) {
	require.False(w, w.calm, "the broker closed a channel: %d %s", code, text)
}

// lingering tells whether the log is to grow a little longer.
func (w *world) lingering() bool {
	w.linger--
	return w.linger > 0
}

// waiting pipes.
func (w *world) waiting() (all []*pipe) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pipes = slices.DeleteFunc(w.pipes, (*pipe).dead)
	for _, p := range w.pipes {
		if !p.eager && p.waiting() {
			all = append(all, p)
		}
	}
	return all
}

// settle until the gates have done all they can, and the log's frames have moved.
func (w *world) settle() {
	for {
		synctest.Wait()
		moved := false
		for _, p := range slices.Clone(w.pipes) {
			for p.eager && !w.stalled && p.waiting() {
				p.move()
				moved = true
			}
		}
		for !w.stalled {
			k := w.b.hungry(true)
			if len(k) == 0 {
				break
			}
			k[0].deliver()
			moved = true
		}
		if !moved {
			return
		}
	}
}

// check what must hold at any time.
func (w *world) check() {
	require.LessOrEqual(w, len(w.b.consuming()), 1, "two instances consume")
	var active []string
	for _, p := range w.pods {
		switch p.mode() {
		case control.ModeOpen, control.ModeHolding, control.ModeHeld, control.ModeLogging, control.ModeHandingOver:
			active = append(active, p.name)
		default: // waits to become so, or was
		}
	}
	require.LessOrEqual(w, len(active), 1, "two instances are active")
}

// work of some app.
func (w *world) work(arg int) bool {
	for i := range w.pods {
		if a := w.pods[(arg+i)%len(w.pods)].app; a != nil && a.work() {
			return true
		}
	}
	return false
}

// connect some app.
func (w *world) connect(arg int) bool {
	for i := range w.pods {
		if a := w.pods[(arg+i)%len(w.pods)].app; a != nil && a.connect() {
			return true
		}
	}
	return false
}

func (w *world) bootGate(int) bool {
	for _, p := range w.pods {
		if p.gate == nil && !p.full {
			p.boot()
			return true
		}
	}
	return false
}

// produce a message.
func (w *world) produce(arg int) {
	q := w.b.queue(queueName(arg % w.plan.Queues))
	q.push(padded(fmt.Sprintf("%s/%d", q.name, q.last+1), 11))
}

// lines of all apps.
func (w *world) lines() (all []*line) {
	for _, p := range w.pods {
		for _, i := range sorted(p.app.lines) {
			all = append(all, p.app.lines[i])
		}
	}
	return all
}

func (w *world) rooms() (all []*room) {
	for _, l := range w.lines() {
		for _, id := range sorted(l.rooms) {
			all = append(all, l.rooms[id])
		}
	}
	return all
}

// lanes of apps at the broker.
func (w *world) lanes() (all []*lane) {
	for _, s := range w.b.peers {
		for _, id := range sorted(s.lanes) {
			if !s.south.eager {
				all = append(all, s.lanes[id])
			}
		}
	}
	return all
}

// stopBroker: connections break, and what is transient is lost.
func (w *world) stopBroker() {
	w.away = true
	for _, s := range slices.Clone(w.b.peers) {
		s.lose()
	}
	for name, q := range w.b.queues {
		if strings.HasPrefix(name, "ms2m.") {
			q.ready = nil
		}
	}
}

// late: a command that was sent before arrives once more.
func (w *world) late(arg int) bool {
	return choose(w.c.sent, len(w.c.sent)-1-arg%min(max(len(w.c.sent), 1), 12), func(cmd command) { w.send(cmd) })
}

// changeApp: the next app to be restored subscribes otherwise.
func (w *world) changeApp(arg int) bool {
	pl := w.plan
	pl.Consumers = slices.Clone(pl.Consumers)
	switch arg % 3 {
	case 0:
		pl.Consumers = pl.Consumers[1:]
	case 1:
		pl.Consumers = append(pl.Consumers, seat{place{1, 3}, 0})
	default:
		slices.Reverse(pl.Consumers)
		pl.Tags = "counted"
	}
	w.change = &pl
	return true
}

// heal all faults, and let everything come to its end.
func (w *world) heal() {
	w.away, w.stalled = false, false
	w.c.enough = true
	for _, p := range w.pods {
		p.full = false
	}
	for range 3000 {
		if w.finished() {
			return
		}
		for _, k := range kinds {
			for i := 0; i < 1000 && k.heals && k.do(w, i); i++ {
				w.settle()
				w.check()
			}
		}
		time.Sleep(200 * time.Millisecond)
		w.settle()
	}
	w.Fatalf("it does not come to an end")
}

// finished: no migration is under way, and all messages are processed by one instance.
func (w *world) finished() bool {
	if w.c.stage != idle || len(w.waiting()) > 0 || len(w.pods) != 1 || w.pods[0].mode() != control.ModeOpen {
		return false
	}
	a := w.pods[0].app
	for i := range w.plan.Queues {
		if len(w.b.queue(queueName(i)).ready) > 0 {
			return false
		}
	}
	return len(a.got) == 0 && a.doing == nil && len(a.backlog)+len(a.unconfirmed) == 0 && len(a.lines) == len(a.plan.conns())
}

// judge the end: nothing is lost, nothing doubled.
func (w *world) judge() {
	a := w.pods[0].app
	for i := range w.plan.Queues {
		q := w.b.queue(queueName(i))
		for n := uint64(1); n <= q.last; n++ {
			require.Contains(w, a.applied, fmt.Sprintf("%s/%d", q.name, n), "lost")
		}
	}
	made := map[string]bool{}
	for _, id := range a.outputs {
		made[id] = true
		require.True(w, w.lacks[id] || slices.Contains(w.b.outputs, id), "output %s is lost", id)
	}
	certain := func(all []string) []string {
		return slices.DeleteFunc(append([]string{}, all...), func(id string) bool { return w.repeats[id] || w.lacks[id] })
	}
	for _, id := range w.b.outputs {
		require.True(w, made[id], "output %s was never made", id)
	}
	require.Equal(w, certain(a.outputs), certain(w.b.outputs), "outputs are in the order of their making")
}

// state in words.
func (w *world) state() string {
	var s strings.Builder
	fmt.Fprintf(&s, "stage %d (%s), %d commits, %d rollbacks, call %v\n", w.c.stage, w.c.why, w.c.commits, w.c.returns, w.c.call)
	for _, p := range w.pods {
		fmt.Fprintf(&s, "%s: %s", p.name, p.mode())
		if p.gate != nil {
			fmt.Fprintf(&s, " %+v", p.gate.Status())
		}
		if p.app != nil {
			fmt.Fprintf(&s, "\n  app: %d got, doing %+v, backlog %v, unconfirmed %v", len(p.app.got), p.app.doing, p.app.backlog, p.app.unconfirmed)
			for _, i := range sorted(p.app.lines) {
				for _, id := range sorted(p.app.lines[i].rooms) {
					r := p.app.lines[i].rooms[id]
					fmt.Fprintf(&s, "\n  line %d room %d: due %v, batch %v, dead %v, closing %v", i, id, r.due, r.batch, r.dead, r.closing)
				}
			}
		}
		s.WriteString("\n")
	}
	for _, name := range slices.Sorted(maps.Keys(w.b.queues)) {
		fmt.Fprintf(&s, "%s: %d ready of %d\n", name, len(w.b.queues[name].ready), w.b.queues[name].last)
	}
	fmt.Fprintf(&s, "consuming %v, %d waiting pipes, stalled %v, away %v", w.b.consuming(), len(w.waiting()), w.stalled, w.away)
	return s.String()
}

// tearDown ends all gates.
func (w *world) tearDown() {
	w.stalled = false
	for _, p := range slices.Clone(w.pods) {
		p.remove()
	}
}
