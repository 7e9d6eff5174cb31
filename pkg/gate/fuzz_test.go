package gate

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// FuzzCore: whatever apps and brokers send, in any phase of a migration, the gates neither panic nor miscount, keep
// nothing of a connection that has ended, and send an app no frame within the content of another.
//
// A byte string is a sequence of steps, read by a script: frames with plausible arguments on few channels of few
// connections, in the modes through which commands lead a source and a target.
func FuzzCore(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := run(t, b)
		for _, side := range []*side{s.source, s.target} {
			for l := range side.c.links {
				side.c.lost(l)
			}
			c := side.c
			if c.unacked != 0 || len(c.waiting.list) != 0 || c.waiting.bytes != 0 {
				t.Fatalf("%d unacked, %d waiting after the links' end", c.unacked, len(c.waiting.list))
			}
		}
	})
}

func run(t *testing.T, b []byte) *script {
	s := &script{t: t, b: b, now: time.Unix(1e9, 0)}
	s.source, s.target = s.newSide(control.ModeOpen), s.newSide(control.ModeClosed)
	for len(s.b) > 0 {
		s.step()
	}
	return s
}

// script is a byte string that is read as steps.
type script struct {
	t              *testing.T
	b              []byte
	now            time.Time
	source, target *side
	log            [][]byte
	read           int
	digest         replaylog.Digest
}

// side is a gate's core with its connections.
type side struct {
	s     *script
	c     *core
	links []*link
	// contents to the app by connection and channel.
	contents map[string]*amqp.Content
	answered func() bool
}

func (s *script) newSide(mode control.Mode) *side {
	d := &side{s: s, c: newCore(mode), contents: map[string]*amqp.Content{}}
	d.c.now = func() time.Time { return s.now }
	return d
}

// next byte, modulo n.
func (s *script) next(n int) int {
	if len(s.b) == 0 {
		return 0
	}
	v := int(s.b[0]) % n
	s.b = s.b[1:]
	return v
}

func (s *script) step() {
	d := s.source
	what := s.next(32)
	if what >= 16 {
		d, what = s.target, what-16
	}
	switch {
	case what < 2:
		s.command(d)
	case what == 2:
		s.now = s.now.Add(time.Duration(s.next(100)) * 10 * time.Millisecond)
		d.c.pump()
	case what == 3:
		d.connection(s.next(8))
	case len(d.links) == 0:
	case what < 10:
		d.fromApp(s.next(2), uint16(1+s.next(2)))
	default:
		d.fromBroker(s.next(2), uint16(1+s.next(2)))
	}
	s.source.check()
	s.target.check()
}

// command takes a source or a target a step further, as the gate's commands do.
func (s *script) command(d *side) {
	c := d.c
	if d == s.target {
		s.lead(c)
		return
	}
	switch back := s.next(8) == 0; {
	case back && c.migrating():
		c.reopen()
		c.log = nil
	case c.mode == control.ModeOpen && c.migratable() == nil:
		c.setMode(control.ModeHolding)
	case c.mode == control.ModeHolding && d.rested(c.settled):
		c.setMode(control.ModeHeld)
		c.cut()
		s.log, s.read, s.digest = nil, 0, replaylog.Digest{}
		s.target = s.newSide(control.ModeClosed)
	case c.mode == control.ModeHeld:
		c.log = s
		c.setMode(control.ModeLogging)
	case c.mode == control.ModeLogging:
		c.setMode(control.ModeHandingOver)
		c.cancelAll()
	case c.mode == control.ModeHandingOver && c.broken == "" && d.rested(c.stopped):
		c.setMode(control.ModeHandedOver)
		end, err := c.end().Append(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		s.Append(end)
	}
}

// rested tells whether the condition holds after a round trip.
func (d *side) rested(settled func() bool) bool {
	for _, l := range d.links {
		d.written(l)
	}
	if d.answered == nil {
		if settled() {
			d.answered = d.c.sync()
		}
		return false
	}
	if !d.answered() {
		return false
	}
	d.answered = nil
	return settled()
}

// Append a record to the log.
func (s *script) Append(record []byte) { s.log = append(s.log, record) }

// Confirmed records.
func (s *script) Confirmed() uint64 { return uint64(len(s.log)) }

// lead a target on.
func (s *script) lead(c *core) {
	switch {
	case c.mode == control.ModeClosed:
		c.setMode(control.ModeReplaying)
	case c.mode == control.ModeReplaying && s.read < len(s.log):
		b := s.log[s.read]
		s.read++
		entry, end, err := replaylog.Decode(b)
		if err != nil {
			s.t.Fatal(err)
		}
		if entry != nil {
			s.digest = s.digest.Next(b)
		}
		c.replay.waiting = append(c.replay.waiting, replaylog.Record{Entry: entry, End: end, Digest: s.digest, Done: func() {}})
		c.pump()
	case c.mode == control.ModeReplaying && c.broken == "" && c.replayed() && c.verify() == "":
		c.setMode(control.ModeReplayed)
	case c.mode == control.ModeReplayed && c.broken == "":
		c.goLive()
		c.setMode(control.ModeOpen)
	case c.mode == control.ModeReplayed:
		s.t.Fatalf("a target that has replayed cannot be committed any more: %s", c.broken)
	}
}

// connection begins or ends.
func (d *side) connection(what int) {
	switch {
	case what < 6 && len(d.links) < 2 && d.c.admits():
		l := newLink()
		l.Tune = amqp.Tune{FrameMax: 64}
		d.c.links[l] = struct{}{}
		d.links = append(d.links, l)
	case what >= 6 && len(d.links) > 0:
		d.drop(d.links[what%len(d.links)])
	}
}

func (d *side) drop(l *link) {
	d.written(l)
	d.c.lost(l)
	for i, o := range d.links {
		if o == l {
			d.links = append(d.links[:i:i], d.links[i+1:]...)
			for key := range d.contents {
				if bytes.HasPrefix([]byte(key), fmt.Appendf(nil, "%p", l)) {
					delete(d.contents, key)
				}
			}
		}
	}
}

// fromApp comes a frame; one that must wait is dropped with its connection.
func (d *side) fromApp(at int, channel uint16) {
	l := d.links[at%len(d.links)]
	for _, f := range frames(d.s.appFrame(channel)) {
		if d.c.parks(l, f) {
			return
		}
		if d.c.onApp(l, f) != nil {
			d.drop(l)
			return
		}
	}
}

// fromBroker comes a frame on a channel that it knows.
func (d *side) fromBroker(at int, channel uint16) {
	l := d.links[at%len(d.links)]
	for _, f := range frames(d.s.brokerFrame(channel)) {
		if l.channels[channel] == nil {
			return
		}
		if d.c.onBroker(l, f) != nil {
			d.drop(l)
			return
		}
	}
}

func (s *script) tag() string { return string(rune('a' + s.next(3))) }

// queue names, of which one is none.
func (s *script) queue() string { return []string{"q", "p", ""}[s.next(3)] }

// number is mostly small.
func (s *script) number() uint64 {
	if n := s.next(20); n < 16 {
		return uint64(n)
	}
	return 1 << (4 * (s.next(16)))
}

func (s *script) flags() byte { return byte(s.next(4)) }

// piece of a content: whole or half.
func (s *script) piece(ch uint16) []byte {
	body := make([]byte, []int{0, 1, 30, 100}[s.next(4)])
	whole := amqp.AppendDelivery(nil, ch, 64, amqp.Message{Properties: []byte{0, 0}, Body: body})
	all := frames(whole)[1:]
	var b []byte
	for _, f := range all[:len(all)-s.next(2)*s.next(len(all)+1)%(len(all)+1)] {
		b = append(b, f.Raw...)
	}
	return b
}

func (s *script) appFrame(ch uint16) []byte {
	reserved, none := uint16(0), []byte(nil)
	switch s.next(24) {
	case 0, 1:
		return methodFrame(ch, amqp.ChannelOpen, "")
	case 2, 3, 4:
		return methodFrame(ch, amqp.BasicConsume, reserved, s.queue(), s.tag(), s.flags()<<2&8|byte(s.next(16)/15*2), none)
	case 5, 6, 7:
		return methodFrame(ch, amqp.BasicAck, s.number(), s.flags()&1)
	case 8:
		return methodFrame(ch, amqp.BasicNack, s.number(), s.flags())
	case 9:
		return methodFrame(ch, amqp.BasicReject, s.number(), s.flags())
	case 10, 11:
		return append(methodFrame(ch, amqp.BasicPublish, reserved, "", "k", s.flags()&1), s.piece(ch)...)
	case 12:
		return s.piece(ch)
	case 13:
		return methodFrame(ch, amqp.ConfirmSelect, s.flags()&1)
	case 14:
		return methodFrame(ch, amqp.BasicQos, uint32(0), uint16(s.next(4)), s.flags()&1)
	case 15:
		return methodFrame(ch, amqp.QueueDeclare, reserved, s.queue(), byte(s.next(32)), none)
	case 16:
		return methodFrame(ch, amqp.BasicCancel, s.tag(), s.flags()&1)
	case 17:
		return methodFrame(ch, amqp.ChannelClose, uint16(200), "", reserved, reserved)
	case 18:
		return methodFrame(ch, amqp.ChannelCloseOk)
	case 19:
		return methodFrame(ch, amqp.QueueBind, reserved, s.queue(), "x", "k", s.flags()&1, none)
	case 20:
		return methodFrame(ch, []amqp.Method{amqp.BasicRecover, amqp.BasicRecoverAsync}[s.next(2)], byte(1))
	case 21:
		return methodFrame(ch, amqp.BasicGet, reserved, s.queue(), s.flags()&1)
	case 22:
		return methodFrame(ch, []amqp.Method{amqp.TxSelect, amqp.TxCommit, amqp.QueuePurge, amqp.ChannelFlow}[s.next(4)], reserved, s.queue(), byte(0))
	default:
		return methodFrame(0, []amqp.Method{amqp.ConnectionClose, amqp.ConnectionCloseOk, amqp.ConnectionOpen}[s.next(3)], reserved, "", reserved, reserved)
	}
}

func (s *script) brokerFrame(ch uint16) []byte {
	switch s.next(20) {
	case 0, 1:
		return methodFrame(ch, amqp.ChannelOpenOk, []byte(nil))
	case 2, 3:
		return methodFrame(ch, amqp.BasicConsumeOk, s.tag())
	case 4, 5, 6, 7, 8:
		return append(methodFrame(ch, amqp.BasicDeliver, s.tag(), s.number(), s.flags()&1, "", "k"), s.piece(ch)...)
	case 9:
		return s.piece(ch)
	case 10, 11:
		return methodFrame(ch, amqp.BasicAck, s.number(), s.flags()&1)
	case 12:
		return methodFrame(ch, amqp.BasicNack, s.number(), s.flags())
	case 13, 14:
		m := []amqp.Method{
			amqp.BasicQosOk, amqp.ConfirmSelectOk, amqp.ChannelFlowOk, amqp.QueueBindOk, amqp.BasicRecoverOk, amqp.TxSelectOk,
		}[s.next(6)]
		return methodFrame(ch, m, byte(1))
	case 15:
		return methodFrame(ch, amqp.QueueDeclareOk, s.queue(), uint32(0), uint32(0))
	case 16:
		return methodFrame(ch, []amqp.Method{amqp.BasicCancelOk, amqp.BasicCancel}[s.next(2)], s.tag(), byte(1))
	case 17:
		return append(methodFrame(ch, amqp.BasicReturn, uint16(312), "", "", "k"), s.piece(ch)...)
	case 18:
		return append(methodFrame(ch, amqp.BasicGetOk, s.number(), byte(0), "", "k", uint32(0)), s.piece(ch)...)
	default:
		if s.next(2) == 0 {
			return methodFrame(ch, amqp.ChannelClose, uint16(406), "", uint16(0), uint16(0))
		}
		return methodFrame(ch, amqp.ChannelCloseOk)
	}
}

// written frames of a link are taken off it; those to the app must not lie within each other's contents.
func (d *side) written(l *link) {
	l.broker.buf = nil
	for _, f := range frames(l.app.buf) {
		key := fmt.Sprintf("%p/%d", l, f.Channel)
		if d.contents[key] == nil {
			d.contents[key] = &amqp.Content{}
		}
		if f.Channel == 0 {
			continue
		}
		if _, err := d.contents[key].Step(f); err != nil {
			d.s.t.Fatalf("to the app: %v", err)
		}
	}
	l.app.buf = nil
}

// check what must hold at any time.
func (d *side) check() {
	c := d.c
	unacked, bytes := 0, 0
	for l := range c.links {
		d.written(l)
		for _, ch := range l.channels {
			unacked += ch.Tags.Len()
		}
	}
	for _, w := range c.waiting.list {
		bytes += len(w.msg.Body)
	}
	if c.unacked != unacked || c.waiting.bytes != bytes {
		d.s.t.Fatalf("%d unacked counted, %d are; %d bytes counted, %d are", c.unacked, unacked, c.waiting.bytes, bytes)
	}
	c.refusals()
}

// seeds lead through whole migrations: each step of a source in the form that script reads.
func seeds() [][]byte {
	const (
		connect  = "\x03\x00"
		disjoin  = "\x03\x06"
		open     = "\x04\x00\x00\x00"
		consume  = "\x04\x00\x00\x02\x00\x00\x00\x00"
		choose   = "\x04\x00\x00\x0d\x00" // confirm.select
		publish  = "\x04\x00\x00\x0a\x00\x01\x00\x00"
		ack1     = "\x04\x00\x00\x05\x01\x00"
		ackAll   = "\x04\x00\x00\x05\x00\x01"
		refuse1  = "\x04\x00\x00\x08\x01\x02"
		refuse2  = "\x04\x00\x00\x08\x02\x02"
		opened   = "\x0a\x00\x00\x00"
		consumed = "\x0a\x00\x00\x02\x00"
		chosen   = "\x0a\x00\x00\x0d\x01"
		deliver1 = "\x0a\x00\x00\x04\x00\x01\x00\x02\x00\x00"
		deliver2 = "\x0a\x00\x00\x04\x00\x02\x00\x03\x00\x00"
		confirm1 = "\x0a\x00\x00\x0a\x01\x00"
		confirm2 = "\x0a\x00\x00\x0a\x02\x00"
		returned = "\x0a\x00\x00\x11\x02\x00\x00"
		trip     = "\x0a\x00\x00\x0d\x02" // flow-ok
		ceased   = "\x0a\x00\x00\x10\x00\x00"
		on       = "\x00\x01"
		back     = "\x00\x00"
		next     = "\x00" // command to a target
	)
	at := func(side byte, steps ...string) (b []byte) {
		for _, s := range steps {
			b = append(append(b, s[0]+side), s[1:]...)
		}
		return b
	}
	const source, target = 0, 16
	app := []string{connect, open, opened, consume, consumed, choose, chosen}
	begun := at(source, append(app, deliver1, publish, confirm1, ack1, on, on, trip, on, on)...)
	logged := slices.Concat(begun, at(source, deliver2, publish, confirm2, refuse2))
	handedOver := slices.Concat(logged, at(source, on, ceased, on, trip, on))
	replayed := slices.Concat(handedOver, at(target, next, connect, open, opened, consume, choose, chosen, next, publish, refuse1, next, next))
	return [][]byte{
		slices.Concat(begun, at(source, back, deliver2, ackAll)), slices.Concat(logged, at(source, returned, disjoin)),
		slices.Concat(handedOver, at(source, back, consumed, deliver2)), replayed,
		slices.Concat(replayed, at(target, next, consumed, deliver1, publish, confirm1, ackAll)),
	}
}

// TestSeedsLeadThroughMigrations: else fuzzing would begin at nothing.
func TestSeedsLeadThroughMigrations(t *testing.T) {
	all := seeds()
	s := run(t, all[len(all)-1])
	require.Equal(t, control.ModeHandedOver, s.source.c.mode)
	require.Equal(t, control.ModeOpen, s.target.c.mode)
	require.Equal(t, uint64(2), s.target.c.forwarded)
}
