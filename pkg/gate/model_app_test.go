package gate

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// plan of an app: what it subscribes and publishes, and how it settles.
type plan struct {
	Queues    int
	Consumers []seat
	Publisher place
	Confirms  bool
	// Batch deliveries are settled at once; with All by "all so far".
	Batch    int
	All      bool
	Prefetch int
	// Tags: "fixed", "same" on all channels, "counted" over all connections that ever were, or the "server's".
	Tags string
	// Pipelined apps do not wait for the answer to one request before the next.
	Pipelined bool
}

// place is a channel of a connection.
type place struct {
	Conn    int
	Channel uint16
}

type seat struct {
	place
	Queue int
}

// mind is an app's memory: what a checkpoint copies.
type mind struct {
	// chain over everything that was done, in order; applied messages; outputs in the order of their making.
	chain   [sha256.Size]byte
	applied map[string]bool
	outputs []string
	// fresh is the highest number of a queue that came without the redelivered flag.
	fresh map[string]uint64
	// refused once.
	refused map[string]bool
	// doing is being processed, with these outputs still to be made.
	doing *item
	todo  []string
	// unconfirmed outputs; those in backlog must be published again.
	unconfirmed, backlog []string
	// tags counts consumer tags.
	tags int
}

// item is a delivery in the app's hands.
type item struct {
	room        *room
	tag         uint64
	id          string
	queue       string
	n           uint64
	redelivered bool
}

// app is a client of the broker that works on one message at a time.
type app struct {
	w    *world
	pod  *pod
	plan plan
	mind
	got   []*item
	lines map[int]*line
	// crashed since it was started or restored.
	crashed bool
	// failing: something outside keeps it from processing the next message.
	failing bool
}

func newApp(w *world, p *pod, pl plan) *app {
	return &app{w: w, pod: p, plan: pl, lines: map[int]*line{}, mind: mind{
		applied: map[string]bool{}, fresh: map[string]uint64{}, refused: map[string]bool{},
	}}
}

// restored from a checkpoint: its connections are lost.
func (a *app) restored(p *pod) *app {
	b := *a
	b.pod, b.lines, b.got, b.crashed, b.failing = p, map[int]*line{}, nil, false, false
	b.applied, b.fresh, b.refused = maps.Clone(a.applied), maps.Clone(a.fresh), maps.Clone(a.refused)
	b.outputs, b.todo = slices.Clone(a.outputs), slices.Clone(a.todo)
	b.unconfirmed, b.backlog = nil, append(slices.Clone(a.unconfirmed), a.backlog...)
	if b.doing != nil {
		doing := *b.doing
		doing.room = &room{dead: true}
		b.doing = &doing
	}
	b.w.mayRepeat(b.backlog)
	return &b
}

func (m *mind) note(what string) { m.chain = sha256.Sum256(append(m.chain[:], what...)) }

// between messages, with nothing under way.
func (a *app) between() bool {
	unsettled := 0
	for _, l := range a.lines {
		for _, r := range l.rooms {
			unsettled += len(r.batch)
		}
	}
	return a.doing == nil && len(a.got)+unsettled+len(a.unconfirmed)+len(a.backlog) == 0
}

// work a little.
func (a *app) work() bool {
	switch {
	case len(a.backlog) > 0:
		out := a.publisher()
		if out == nil {
			return false
		}
		out.publish(a.backlog[0])
		a.backlog = a.backlog[1:]
	case a.doing == nil && len(a.got) == 0:
		return false
	case a.doing == nil:
		a.doing, a.got = a.got[0], a.got[1:]
		a.begin(a.doing)
	case len(a.todo) > 0:
		out := a.publisher()
		if out == nil {
			return false
		}
		a.outputs = append(a.outputs, a.todo[0])
		out.publish(a.todo[0])
		a.todo = a.todo[1:]
	case len(a.unconfirmed) > 0:
		return false
	default:
		it := a.doing
		a.doing = nil
		it.room.settle(it)
	}
	return true
}

// begin to process: what is done is a function of the message.
func (a *app) begin(it *item) {
	switch {
	case it.redelivered && a.applied[it.id]:
		a.doing = nil
		it.room.settle(it)
	case it.n%7 == 3 && !it.redelivered || a.failing:
		a.failing = false
		a.note("refuse " + it.id)
		a.refused[it.id] = true
		a.doing = nil
		it.room.say(amqp.BasicNack, it.tag, byte(2))
	case it.n%17 == 5:
		a.note("reject " + it.id)
		a.applied[it.id] = true
		a.doing = nil
		it.room.say(amqp.BasicReject, it.tag, byte(0))
	default:
		a.note("apply " + it.id)
		a.applied[it.id] = true
		for i := range []uint64{1, 1, 0, 2}[it.n%4] {
			a.todo = append(a.todo, fmt.Sprintf("%s#%d", it.id, i))
		}
	}
}

// publisher's channel, if it is ready.
func (a *app) publisher() *room {
	at := a.plan.Publisher
	if l := a.lines[at.Conn]; l != nil && l.rooms[at.Channel] != nil && l.rooms[at.Channel].ready() {
		return l.rooms[at.Channel]
	}
	return nil
}

// receive a message.
func (a *app) receive(it *item) {
	w := a.w
	if !it.redelivered {
		require.False(w, a.applied[it.id], "%s is doubled", it.id)
		if a.plan.consumersOf(it.queue) == 1 {
			require.Greater(w, it.n, a.fresh[it.queue], "%s is out of order", it.id)
		}
		a.fresh[it.queue] = max(a.fresh[it.queue], it.n)
	} else if w.calm && w.c.migrations == 0 {
		require.True(w, a.refused[it.id], "%s comes again, for no reason", it.id)
	}
	a.got = append(a.got, it)
}

func (p plan) consumersOf(queue string) (n int) {
	for _, s := range p.Consumers {
		if queueName(s.Queue) == queue {
			n++
		}
	}
	return n
}

// crash: memory is lost, and with it what was in hand. What the observer needs to judge stays.
func (a *app) crash() {
	for _, l := range a.lines {
		l.lose()
	}
	if it := a.doing; it != nil {
		delete(a.applied, it.id)
		a.w.mayRepeat([]string{it.id + "#0", it.id + "#1"})
	}
	a.w.mayLack(a.outputs)
	a.chain, a.crashed = [sha256.Size]byte{}, true
	a.doing, a.todo, a.unconfirmed, a.backlog = nil, nil, nil, nil
}

// connect what is not connected.
func (a *app) connect() bool {
	for _, i := range a.plan.conns() {
		if a.lines[i] == nil && a.pod.gate != nil {
			a.lines[i] = a.dial(i)
			return true
		}
	}
	return false
}

func (p plan) places() []place {
	all := []place{p.Publisher}
	for _, s := range p.Consumers {
		all = append(all, s.place)
	}
	slices.SortFunc(all, func(a, b place) int { return a.Conn*100 + int(a.Channel) - b.Conn*100 - int(b.Channel) })
	return slices.Compact(all)
}

func (p plan) conns() (all []int) {
	for _, at := range p.places() {
		all = append(all, at.Conn)
	}
	return slices.Compact(all)
}

// line is a connection of the app.
type line struct {
	a        *app
	index    int
	up, down *pipe
	rooms    map[uint16]*room
}

func (a *app) dial(i int) *line {
	l := &line{a: a, index: i, rooms: map[uint16]*room{}}
	l.up = newPipe(nil, nil)
	l.down = newPipe(l.take, l.lose)
	a.w.pipes = append(a.w.pipes, l.up, l.down)
	g := a.pod.gate
	g.conns.Go(func() { g.serve(&end{in: l.up, out: l.down}) })
	_ = l.up.write([]byte{'A', 'M', 'Q', 'P', 0, 0, 9, 1})
	return l
}

// lose the connection.
func (l *line) lose() {
	l.up.reset()
	l.down.reset()
	for _, r := range l.rooms {
		r.forget()
	}
	if l.a.lines[l.index] == l {
		delete(l.a.lines, l.index)
	}
}

func (l *line) say(m amqp.Method, args ...any) { _ = l.up.write(methodFrame(0, m, args...)) }

// take a frame of the gate.
func (l *line) take(b []byte) {
	f := amqp.Frame{Type: b[0], Channel: binary.BigEndian.Uint16(b[1:]), Raw: b}
	switch f.Method() {
	case amqp.ConnectionStart:
		l.say(amqp.ConnectionStartOk, []byte(nil), "PLAIN", []byte("\x00app\x00secret"), "en_US")
	case amqp.ConnectionTune:
		l.say(amqp.ConnectionTuneOk, uint16(0), uint32(frameMax), uint16(0))
		l.say(amqp.ConnectionOpen, "/", "", byte(0))
	case amqp.ConnectionOpenOk:
		for _, at := range l.a.plan.places() {
			if at.Conn == l.index {
				l.open(at.Channel)
			}
		}
	case amqp.ConnectionClose:
		code, text, _ := amqp.DecodeClose(f)
		l.a.w.Fatalf("the app's connection was closed: %d %s", code, text)
	default:
		r := l.rooms[f.Channel]
		require.NotNil(l.a.w, r, "a frame for a channel that is not open")
		r.take(f)
	}
}

// room is a channel of the app.
type room struct {
	l  *line
	id uint16
	// todo requests and the answers that are due.
	todo []request
	due  []amqp.Method
	// queues of the consumers that are being subscribed, and of those that are, by tag.
	subscribing []string
	consumers   map[string]string
	// coming is the delivery whose content is coming.
	coming    *item
	body      []byte
	content   amqp.Content
	lastTag   uint64
	published uint64
	// open outputs by number.
	open map[uint64]string
	// batch of tags to settle.
	batch []uint64
	dead  bool
	// closing: the app has closed it.
	closing bool
}

type request struct {
	frame []byte
	reply amqp.Method
}

func queueName(i int) string { return fmt.Sprintf("q%d", i) }

func (l *line) open(id uint16) {
	a := l.a
	r := &room{l: l, id: id, consumers: map[string]string{}, open: map[uint64]string{}}
	l.rooms[id] = r
	ask := func(m amqp.Method, args ...any) {
		r.todo = append(r.todo, request{methodFrame(id, m, args...), m.Reply()})
	}
	ask(amqp.ChannelOpen, "")
	ask(amqp.BasicQos, uint32(0), uint16(a.plan.Prefetch), byte(0))
	if a.plan.Publisher == (place{l.index, id}) && a.plan.Confirms {
		ask(amqp.ConfirmSelect, byte(0))
	}
	for i, s := range a.plan.Consumers {
		if s.place != (place{l.index, id}) {
			continue
		}
		ask(amqp.QueueDeclare, uint16(0), queueName(s.Queue), byte(2), []byte(nil))
		ask(amqp.QueueBind, uint16(0), queueName(s.Queue), "", "key", byte(0), []byte(nil))
		ask(amqp.BasicConsume, uint16(0), queueName(s.Queue), a.newTag(i), byte(0), []byte(nil))
		r.subscribing = append(r.subscribing, queueName(s.Queue))
	}
	r.ask()
}

func (a *app) newTag(consumer int) string {
	switch a.plan.Tags {
	case "fixed":
		return fmt.Sprintf("consumer-%d", consumer)
	case "same":
		return fmt.Sprintf("of-queue-%d", a.plan.Consumers[consumer].Queue)
	case "counted":
		a.tags++
		return fmt.Sprintf("ctag-%d", a.tags)
	}
	return ""
}

// ask what is to be asked.
func (r *room) ask() {
	for len(r.todo) > 0 && (r.l.a.plan.Pipelined || len(r.due) == 0) {
		_ = r.l.up.write(r.todo[0].frame)
		r.due = append(r.due, r.todo[0].reply)
		r.todo = r.todo[1:]
	}
}

func (r *room) ready() bool { return len(r.todo)+len(r.due) == 0 && !r.closing && !r.dead }

func (r *room) say(m amqp.Method, args ...any) {
	if !r.dead && !r.closing {
		_ = r.l.up.write(methodFrame(r.id, m, args...))
	}
}

// forget what was in hand; the broker delivers it again.
func (r *room) forget() {
	a := r.l.a
	if r.dead {
		return
	}
	r.dead = true
	a.got = slices.DeleteFunc(a.got, func(it *item) bool { return it.room == r })
	if a.plan.Publisher != (place{r.l.index, r.id}) {
		return
	}
	a.w.mayRepeat(a.unconfirmed)
	a.w.mayLack(a.outputs)
	a.backlog = append(a.unconfirmed, a.backlog...)
	a.unconfirmed = nil
}

// close the channel and open it again.
func (r *room) close() {
	if !r.ready() {
		return
	}
	r.say(amqp.ChannelClose, uint16(200), "", uint16(0), uint16(0))
	r.forget()
	r.closing = true
}

func (r *room) take(f amqp.Frame) {
	w := r.l.a.w
	ends, err := r.content.Step(f)
	require.NoError(w, err, "the app gets frames in the right order")
	switch f.Type {
	case amqp.FrameMethod:
		r.method(f)
		return
	case amqp.FrameBody:
		r.body = append(r.body, f.Payload()...)
	}
	if !ends || r.dead {
		return
	}
	it := r.coming
	if it == nil {
		return // a message that came back
	}
	it.id = strings.TrimRight(string(r.body), ".")
	_, err = fmt.Sscanf(it.id, it.queue+"/%d", &it.n)
	require.NoError(w, err, "%q at a consumer of %s", it.id, it.queue)
	r.l.a.receive(it)
}

func (r *room) method(f amqp.Frame) {
	w := r.l.a.w
	switch m := f.Method(); m {
	case amqp.BasicDeliver:
		d, err := amqp.DecodeDelivery(f)
		require.NoError(w, err)
		queue, known := r.consumers[string(d.ConsumerTag)]
		require.True(w, known || r.closing, "a delivery for the consumer %q", d.ConsumerTag)
		require.Greater(w, d.Tag, r.lastTag, "delivery tags ascend")
		r.lastTag = d.Tag
		r.coming, r.body = &item{room: r, tag: d.Tag, queue: queue, redelivered: d.Redelivered}, nil
	case amqp.BasicReturn:
		r.coming, r.body = nil, nil
	case amqp.BasicAck:
		r.confirmed(f)
	case amqp.ChannelClose:
		code, text, _ := amqp.DecodeClose(f)
		w.expelled(r, code, text)
		_ = r.l.up.write(methodFrame(r.id, amqp.ChannelCloseOk))
		r.forget()
		if !r.closing {
			r.l.open(r.id)
		}
	case amqp.ChannelCloseOk:
		require.True(w, r.closing)
		r.l.open(r.id)
	default:
		if r.closing {
			return
		}
		require.NotEmpty(w, r.due, "an answer that is not due: method %d.%d", m.Class(), m&0xffff)
		require.Equal(w, r.due[0], m, "answers come in the order of the requests")
		r.due = r.due[1:]
		if m == amqp.BasicConsumeOk {
			tag, _, err := amqp.DecodeConsumerTag(f)
			require.NoError(w, err)
			r.consumers[tag] = r.subscribing[0]
			r.subscribing = r.subscribing[1:]
		}
		r.ask()
	}
}

func (r *room) publish(id string) {
	r.send("out", padded(id, 13), false)
	if r.l.a.plan.Confirms {
		r.open[r.published] = id
		r.l.a.unconfirmed = append(r.l.a.unconfirmed, id)
	}
}

func (r *room) send(key string, body []byte, mandatory bool) {
	r.published++
	r.say(amqp.BasicPublish, uint16(0), "", key, bit(mandatory))
	_ = r.l.up.write(content(r.id, body))
}

// stray publishes what nobody wants, and gets it back.
func (a *app) stray() bool {
	r := a.publisher()
	if r == nil {
		return false
	}
	r.send("nowhere", []byte("stray"), true)
	if a.plan.Confirms {
		r.open[r.published] = ""
	}
	return true
}

// declare a queue that the broker names: no restored app may do that before it is committed.
func (r *room) declare() {
	if r.ready() {
		r.todo = append(r.todo, request{methodFrame(r.id, amqp.QueueDeclare, uint16(0), "", byte(2), []byte(nil)), amqp.QueueDeclareOk})
		r.ask()
	}
}

func (r *room) confirmed(f amqp.Frame) {
	a := r.l.a
	s, err := amqp.DecodeSettlement(f)
	require.NoError(a.w, err)
	if r.dead {
		return
	}
	require.Contains(a.w, r.open, s.Tag, "a confirm of what is not open")
	for n, id := range r.open {
		if n == s.Tag || s.Multiple && n < s.Tag {
			delete(r.open, n)
			a.unconfirmed = slices.DeleteFunc(a.unconfirmed, func(o string) bool { return o == id })
		}
	}
}

// settle a delivery, or the batch that it completes.
func (r *room) settle(it *item) {
	if r.dead {
		return
	}
	a := r.l.a
	if r.batch = append(r.batch, it.tag); len(r.batch) < a.plan.Batch {
		return
	}
	r.batch = nil
	tag := it.tag
	if a.plan.All {
		tag = 0
	}
	r.say(amqp.BasicAck, tag, bit(a.plan.Batch > 1 || a.plan.All))
}

// padded to several frames, every so often.
func padded(id string, often uint64) []byte {
	var n uint64
	_, _ = fmt.Sscanf(id[strings.Index(id, "/")+1:], "%d", &n)
	if n%often == 0 {
		return []byte(id + strings.Repeat(".", frameMax+100))
	}
	return []byte(id)
}
