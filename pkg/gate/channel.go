package gate

import (
	"slices"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/session"
)

// link is one connection of the app with its connection to the broker.
type link struct {
	*session.Session
	channels map[uint16]*channel
	// app and broker are the ways to the two.
	app, broker *outbox
	alive       alive
	// gone: the link has ended; whoever waits for it gives up.
	gone bool
	// closing: an orderly close of the connection has begun.
	closing bool
	// inquiry under way on a channel of the gate's own.
	inquiry *inquiry
	// sealed: the app speaks TLS to the broker on it, and the gate sees nothing.
	sealed bool
	// abort closes both sockets, unwritten frames are lost.
	abort func()
	// unread tells whether the app has still to read something that was written.
	unread func() bool
	// linger bounds what reading and writing of both may still take.
	linger func()
}

func newLink() *link {
	return &link{
		Session:  &session.Session{Channels: map[uint16]*session.Channel{}},
		channels: map[uint16]*channel{}, app: newOutbox(), broker: newOutbox(), abort: func() {}, linger: func() {},
		unread: func() bool { return false },
	}
}

// channel is a session's channel with what is in flight on it.
type channel struct {
	*session.Channel
	link *link
	// fromApp and toApp follow contents that pass; incoming is a delivery that is being collected instead.
	fromApp, toApp amqp.Content
	incoming       *delivery
	arriving       amqp.Content
	// output is the publish being digested.
	output *output
	// pending answers of the broker, in the order of the requests.
	pending []pending
	// deferred frames to the broker wait for the end of the app's content; later frames to the app, for the end of a
	// content that passes.
	deferred, later []byte
	// closing: channel.close was seen; the broker forgets what is on the channel.
	closing bool
	// lastQueue declared, which an empty queue name means.
	lastQueue string
	// unknownTag that the app has used, for which the broker got another.
	unknownTag uint64
}

// pending is an answer that is due.
type pending struct {
	reply amqp.Method
	// tag of the consumer, for consume-ok and cancel-ok of the gate's own requests.
	tag string
	// own: the gate asked; the app does not see the answer.
	own bool
	// local answers, which the gate gives itself, wait here for earlier ones. given is called when that is so.
	local []byte
	given func()
	done  func(amqp.Frame)
}

func (l *link) open(id uint16) *channel {
	s := &session.Channel{ID: id}
	ch := &channel{Channel: s, link: l}
	l.Channels[id], l.channels[id] = s, ch
	return ch
}

func (l *link) drop(id uint16) {
	delete(l.Channels, id)
	delete(l.channels, id)
}

// send frames to the broker, after the app's half-sent content.
func (ch *channel) send(b []byte) {
	if ch.fromApp.Open() {
		ch.deferred = append(ch.deferred, b...)
		return
	}
	ch.link.broker.put(b)
}

// ask the broker something that the app does not see.
func (ch *channel) ask(reply amqp.Method, tag string, request []byte, done func(amqp.Frame)) {
	ch.pending = append(ch.pending, pending{reply: reply, tag: tag, own: true, done: done})
	ch.send(request)
}

// answer the app in the broker's place, after answers that are due before.
func (ch *channel) answer(b []byte, given func()) {
	ch.pending = append(ch.pending, pending{local: b, given: given})
	ch.flushLocal()
}

// reply takes an answer of the broker and returns whose it is; ok is false when none was due.
func (ch *channel) reply(f amqp.Frame) (p pending, ok bool) {
	m := f.Method()
	if m == amqp.BasicGetEmpty {
		m = amqp.BasicGetOk
	}
	tag := ""
	if m == amqp.BasicConsumeOk || m == amqp.BasicCancelOk {
		tag, _, _ = amqp.DecodeConsumerTag(f)
	}
	for i, p := range ch.pending {
		if p.reply != m || (p.own && p.tag != tag) {
			continue
		}
		ch.pending = append(ch.pending[:i:i], ch.pending[i+1:]...)
		return p, true
	}
	return pending{}, false
}

// flushLocal sends the local answers that nothing is due before.
func (ch *channel) flushLocal() {
	for len(ch.pending) > 0 && ch.pending[0].reply == 0 {
		p := ch.pending[0]
		ch.pending = ch.pending[1:]
		ch.tell(p.local)
		if p.given != nil {
			p.given()
		}
	}
}

// tell the app something in frames of the gate's own, after a content that passes.
func (ch *channel) tell(b []byte) {
	if ch.toApp.Open() {
		ch.later = append(ch.later, b...)
		return
	}
	ch.link.app.put(b)
}

// passed: the end of a content that passes has gone to the app.
func (ch *channel) passed() {
	if len(ch.later) > 0 {
		ch.link.app.put(ch.later)
		ch.later = nil
	}
}

// asking tells whether the broker owes the gate an answer.
func (ch *channel) asking() bool {
	return slices.ContainsFunc(ch.pending, func(p pending) bool { return p.own })
}

// cancel a consumer at the broker.
func (ch *channel) cancel(k *session.Consumer) {
	k.Subscribed = false
	ch.ask(amqp.BasicCancelOk, k.Tag, amqp.AppendCancel(nil, ch.ID, k.Tag), nil)
}

// subscribe those consumers that the broker does not know, each with the prefetch it had.
func (ch *channel) subscribe() {
	qos := ch.Qos
	use := func(q amqp.Qos) {
		if q != qos {
			qos = q
			ch.ask(amqp.BasicQosOk, "", amqp.AppendQos(nil, ch.ID, q), nil)
		}
	}
	for _, k := range ch.Consumers {
		if k.Subscribed {
			continue
		}
		use(k.Qos)
		k.Subscribed = true
		ch.ask(amqp.BasicConsumeOk, k.Tag, amqp.AppendConsume(nil, ch.ID, k.Consume), nil)
	}
	use(ch.Qos)
}

// each channel of the gate that is not closing.
func (c *core) each(do func(*channel)) {
	for l := range c.links {
		for _, ch := range l.channels {
			if !ch.closing {
				do(ch)
			}
		}
	}
}

// arm calls pump again after a time.
func (c *core) arm(after time.Duration) {
	if c.feeding != nil {
		c.feeding.Stop()
	}
	c.feeding = time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pump()
	})
}
