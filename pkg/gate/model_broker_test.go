package gate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// frameMax is small, for bodies of several frames.
const frameMax = 4096

// broker is a naive model of RabbitMQ: classic queues, requeueing to the original position, confirms.
type broker struct {
	w      *world
	queues map[string]*queue
	peers  []*peer
	// outputs in the order in which they were taken.
	outputs []string
	// named counts queues that it has named.
	named int
}

type queue struct {
	name string
	// ready messages in the order of their positions.
	ready []message
	last  uint64
	// dead letters.
	dead []message
}

type message struct {
	at          uint64
	body        []byte
	redelivered bool
}

// peer of one connection at the broker.
type peer struct {
	b   *broker
	pod string
	// north comes from the client, south goes to it.
	north, south *pipe
	lanes        map[uint16]*lane
	gone         bool
	// tags counts consumers whose tags the broker makes up.
	tags int
}

// lane is a channel of a peer.
type lane struct {
	s         *peer
	id        uint16
	prefetch  int
	consumers []*subscription
	tag       uint64
	unacked   []unacked
	confirms  bool
	// published messages of which confirmed have been confirmed.
	published, confirmed uint64
	// content being received.
	content   amqp.Content
	key       string
	mandatory bool
	body      []byte
	// closing: the broker has closed it and waits for the answer.
	closing bool
}

type subscription struct {
	lane     *lane
	tag      string
	queue    *queue
	prefetch int
	noAck    bool
}

type unacked struct {
	tag uint64
	to  *subscription
	m   message
}

func (b *broker) queue(name string) *queue {
	q := b.queues[name]
	if q == nil {
		q = &queue{name: name}
		b.queues[name] = q
	}
	return q
}

func (q *queue) push(body []byte) {
	q.last++
	q.ready = append(q.ready, message{at: q.last, body: body})
}

// requeue to where it was.
func (q *queue) requeue(m message) {
	m.redelivered = true
	i, _ := slices.BinarySearchFunc(q.ready, m.at, func(o message, at uint64) int { return int(int64(o.at) - int64(at)) })
	q.ready = slices.Insert(q.ready, i, m)
}

// accept a connection of a pod.
func (b *broker) accept(pod string, eager bool) *end {
	s := &peer{b: b, pod: pod, lanes: map[uint16]*lane{}}
	s.north, s.south = newPipe(s.take, s.end), newPipe(nil, nil)
	s.north.eager, s.south.eager = eager, eager
	b.w.pipes = append(b.w.pipes, s.north, s.south)
	b.peers = append(b.peers, s)
	return &end{in: s.south, out: s.north}
}

// end of the client's side.
func (s *peer) end() {
	if s.gone {
		return
	}
	s.gone = true
	for _, l := range s.lanes {
		l.forget()
	}
	s.south.close()
	s.b.peers = slices.DeleteFunc(s.b.peers, func(o *peer) bool { return o == s })
}

// lose the connection without a word.
func (s *peer) lose() {
	s.end()
	s.north.reset()
	s.south.reset()
}

func (l *lane) forget() {
	for _, u := range l.unacked {
		u.to.queue.requeue(u.m)
	}
	l.unacked, l.consumers = nil, nil
}

// say something to the client.
func (s *peer) say(b []byte) { _ = s.south.write(b) }

func (l *lane) answer(m amqp.Method, args ...any) { l.s.say(methodFrame(l.id, m, args...)) }

// refuse the channel.
func (l *lane) refuse(code uint16, text string) {
	if l.closing {
		return
	}
	l.forget()
	l.closing = true
	l.answer(amqp.ChannelClose, code, text, uint16(0), uint16(0))
}

// take a frame of the client.
func (s *peer) take(b []byte) {
	if s.gone {
		return
	}
	if string(b[:4]) == "AMQP" {
		s.say(methodFrame(0, amqp.ConnectionStart, byte(0), byte(9), []byte(nil), []byte("PLAIN"), []byte("en_US")))
		return
	}
	f := amqp.Frame{Type: b[0], Channel: binary.BigEndian.Uint16(b[1:]), Raw: b}
	if f.Channel == 0 {
		s.connection(f)
		return
	}
	l := s.lanes[f.Channel]
	if l == nil {
		require.Equal(s.b.w, amqp.ChannelOpen, f.Method(), "first method of a channel at the broker")
		s.lanes[f.Channel] = &lane{s: s, id: f.Channel}
		s.lanes[f.Channel].answer(amqp.ChannelOpenOk, []byte(nil))
		return
	}
	if l.closing {
		switch f.Method() {
		case amqp.ChannelCloseOk:
			delete(s.lanes, l.id)
		case amqp.ChannelClose:
			l.answer(amqp.ChannelCloseOk)
		}
		return
	}
	ends, err := l.content.Step(f)
	require.NoError(s.b.w, err, "the broker gets frames in the right order")
	switch f.Type {
	case amqp.FrameMethod:
		l.method(f)
		return
	case amqp.FrameBody:
		l.body = append(l.body, f.Payload()...)
	}
	if ends {
		l.publish()
	}
}

func (s *peer) connection(f amqp.Frame) {
	switch f.Method() {
	case amqp.ConnectionStartOk:
		s.say(methodFrame(0, amqp.ConnectionTune, uint16(0), uint32(frameMax), uint16(0)))
	case amqp.ConnectionOpen:
		s.say(methodFrame(0, amqp.ConnectionOpenOk, ""))
	case amqp.ConnectionClose:
		s.say(methodFrame(0, amqp.ConnectionCloseOk))
		s.end()
	}
}

func (l *lane) method(f amqp.Frame) {
	w := l.s.b.w
	switch m := f.Method(); m {
	case amqp.ChannelOpen:
		w.Fatalf("channel %d opened twice", l.id)
	case amqp.ChannelClose:
		l.forget()
		delete(l.s.lanes, l.id)
		l.answer(amqp.ChannelCloseOk)
	case amqp.ChannelFlow:
		l.answer(amqp.ChannelFlowOk, byte(1))
	case amqp.BasicQos:
		q, err := amqp.DecodeQos(f)
		require.NoError(w, err)
		l.prefetch = int(q.Count)
		l.answer(m.Reply())
	case amqp.ConfirmSelect:
		l.confirms = true
		if noWait, _ := amqp.NoWait(f); !noWait {
			l.answer(m.Reply())
		}
	case amqp.QueueBind:
		l.answer(m.Reply())
	case amqp.QueueDeclare:
		d, err := amqp.DecodeQueueDeclare(f)
		require.NoError(w, err)
		if d.Queue == "" {
			l.s.b.named++
			d.Queue = fmt.Sprintf("amq.gen-%d", l.s.b.named)
			l.answer(m.Reply(), d.Queue, uint32(0), uint32(0))
			return
		}
		if amqp.HasTableKey(d.Arguments, argSingle, "") {
			l.refuse(406, fmt.Sprintf("PRECONDITION_FAILED - inequivalent arg '%s' for queue '%s' in vhost '/': "+
				"received the value '' of type 'longstr' but current is none", argSingle, d.Queue))
			return
		}
		q, exists := l.s.b.queues[d.Queue]
		if d.Passive && !exists {
			l.refuse(404, "NOT_FOUND")
			return
		}
		if !exists {
			q = l.s.b.queue(d.Queue)
		}
		l.answer(m.Reply(), q.name, uint32(len(q.ready)), uint32(0))
	case amqp.QueuePurge, amqp.QueueDelete:
		name := string(f.Payload()[7 : 7+f.Payload()[6]])
		if m == amqp.QueueDelete {
			l.s.b.delete(name)
		} else {
			l.s.b.queue(name).ready = nil
		}
		l.answer(m.Reply(), uint32(0))
	case amqp.BasicConsume:
		l.subscribe(f)
	case amqp.BasicCancel:
		tag, _, err := amqp.DecodeConsumerTag(f)
		require.NoError(w, err)
		l.consumers = slices.DeleteFunc(l.consumers, func(k *subscription) bool { return k.tag == tag })
		l.answer(m.Reply(), tag)
	case amqp.BasicPublish:
		p, err := amqp.DecodePublish(f)
		require.NoError(w, err)
		l.key, l.mandatory, l.body = string(p.RoutingKey), p.Mandatory, nil
	case amqp.BasicAck, amqp.BasicNack, amqp.BasicReject:
		l.settle(f)
	default:
		w.Fatalf("method %d.%d at the broker", m.Class(), m&0xffff)
	}
}

// delete a queue; its consumers are cancelled.
func (b *broker) delete(name string) {
	for _, s := range b.peers {
		for _, l := range s.lanes {
			for _, k := range l.consumers {
				if k.queue.name == name {
					l.answer(amqp.BasicCancel, k.tag, byte(1))
				}
			}
			l.consumers = slices.DeleteFunc(l.consumers, func(k *subscription) bool { return k.queue.name == name })
		}
	}
	delete(b.queues, name)
}

func (l *lane) subscribe(f amqp.Frame) {
	k, err := amqp.DecodeConsume(f)
	require.NoError(l.s.b.w, err)
	q, exists := l.s.b.queues[k.Queue]
	if !exists {
		l.refuse(404, "NOT_FOUND")
		return
	}
	if k.Tag == "" {
		l.s.tags++
		k.Tag = fmt.Sprintf("amq.ctag-%d", l.s.tags)
	}
	for _, other := range l.consumers {
		require.NotEqual(l.s.b.w, other.tag, k.Tag, "a tag is subscribed once")
	}
	l.consumers = append(l.consumers, &subscription{lane: l, tag: k.Tag, queue: q, prefetch: l.prefetch, noAck: k.NoAck})
	l.answer(amqp.BasicConsumeOk, k.Tag)
}

// publish what has been received whole.
func (l *lane) publish() {
	b := l.s.b
	switch q := b.queues[l.key]; {
	case l.key == "out":
		b.w.published(l.s.pod, string(l.body))
	case q != nil:
		q.push(l.body)
	case l.mandatory:
		l.answer(amqp.BasicReturn, uint16(312), "NO_ROUTE", "", l.key)
		l.s.say(content(l.id, l.body))
	}
	l.published++
	if l.s.south.eager {
		l.confirm(true)
	}
}

// confirm the next publish, or all.
func (l *lane) confirm(multiple bool) {
	if !l.confirms || l.confirmed == l.published || l.closing {
		return
	}
	l.confirmed++
	if multiple {
		l.confirmed = l.published
	}
	l.answer(amqp.BasicAck, l.confirmed, bit(multiple))
}

// deliver the next message to a consumer, if it may have one more.
func (k *subscription) deliver() {
	l := k.lane
	l.tag++
	m := k.queue.ready[0]
	k.queue.ready = k.queue.ready[1:]
	if !k.noAck {
		l.unacked = append(l.unacked, unacked{l.tag, k, m})
	}
	l.answer(amqp.BasicDeliver, k.tag, l.tag, bit(m.redelivered), "", k.queue.name)
	l.s.say(content(l.id, m.body))
}

// hungry consumers of queues that have something for them.
func (b *broker) hungry(eager bool) (all []*subscription) {
	for _, s := range b.peers {
		for _, id := range sorted(s.lanes) {
			l := s.lanes[id]
			for _, k := range l.consumers {
				has := 0
				for _, u := range l.unacked {
					if u.to.tag == k.tag { // also of a subscription before it, which RabbitMQ does not count
						has++
					}
				}
				if s.south.eager == eager && len(k.queue.ready) > 0 && (k.prefetch == 0 || has < k.prefetch) {
					all = append(all, k)
				}
			}
		}
	}
	return all
}

// unconfirmed channels.
func (b *broker) unconfirmed() (all []*lane) {
	for _, s := range b.peers {
		for _, id := range sorted(s.lanes) {
			if l := s.lanes[id]; l.confirms && l.confirmed < l.published && !l.closing {
				all = append(all, l)
			}
		}
	}
	return all
}

// settle as RabbitMQ does: a tag that is not outstanding closes the channel, even with multiple.
func (l *lane) settle(f amqp.Frame) {
	s, err := amqp.DecodeSettlement(f)
	require.NoError(l.s.b.w, err)
	found := s.Tag == 0 && s.Multiple
	for _, u := range l.unacked {
		found = found || u.tag == s.Tag
	}
	if !found {
		l.s.b.w.unknownTag(l, s.Tag)
		l.refuse(406, fmt.Sprintf("PRECONDITION_FAILED - unknown delivery tag %d", s.Tag))
		return
	}
	var left []unacked
	for _, u := range l.unacked {
		if u.tag != s.Tag && (!s.Multiple || s.Tag != 0 && u.tag > s.Tag) {
			left = append(left, u)
			continue
		}
		switch {
		case f.Method() == amqp.BasicAck:
		case s.Requeue:
			u.to.queue.requeue(u.m)
		default:
			u.to.queue.dead = append(u.to.queue.dead, u.m)
		}
	}
	l.unacked = left
}

// consuming pods.
func (b *broker) consuming() []string {
	set := map[string]bool{}
	for _, s := range b.peers {
		for _, l := range s.lanes {
			for _, k := range l.consumers {
				if !strings.HasPrefix(k.queue.name, "ms2m.") {
					set[s.pod] = true
				}
			}
		}
	}
	return sorted(set)
}
