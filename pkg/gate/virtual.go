package gate

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// replay of a log at a target.
type replay struct {
	// waiting records, as they were read.
	waiting []replaylog.Record
	served  uint64
	// settled entries.
	settled uint64
	end     *replaylog.End
	digest  replaylog.Digest
}

// onVirtual answers a method of a target's app before the commit, without effect at the broker. Methods that have none
// (opening channels, qos, confirm.select) pass, so that the session there is ready for the commit: done is false.
func (c *core) onVirtual(ch *channel, f amqp.Frame) (done bool, err error) {
	m := f.Method()
	switch m {
	case amqp.ChannelOpen, amqp.ChannelClose, amqp.ChannelCloseOk, amqp.ChannelFlow, amqp.ChannelFlowOk,
		amqp.BasicQos, amqp.ConfirmSelect:
		return false, nil
	case amqp.QueueDeclare, amqp.ExchangeDeclare:
		return c.declareVirtually(ch, f)
	case amqp.QueueBind, amqp.ExchangeBind:
		return true, c.answerVirtually(ch, f)
	case amqp.BasicConsume:
		return true, c.consumeVirtually(ch, f)
	case amqp.BasicCancel:
		return true, c.cancelVirtually(ch, f)
	case amqp.BasicAck, amqp.BasicNack, amqp.BasicReject:
		return true, c.settleVirtually(ch, f)
	case amqp.BasicPublish:
		p, err := amqp.DecodePublish(f)
		if err != nil {
			return true, err
		}
		ch.output = newOutput(p)
		ch.output.suppressed = true
		return true, nil
	case amqp.BasicRecover, amqp.BasicRecoverAsync:
		if ch.Tags.Len() == 0 {
			return true, c.answerVirtually(ch, f)
		}
	}
	c.breaks(fmt.Sprintf("the restored app sent method %d.%d, which has effects that cannot be taken back", m.Class(), m&0xffff))
	return true, nil
}

// declareVirtually only lets the app see what exists.
func (c *core) declareVirtually(ch *channel, f amqp.Frame) (done bool, err error) {
	if f.Method() == amqp.QueueDeclare {
		d, err := amqp.DecodeQueueDeclare(f)
		if err != nil {
			return true, err
		}
		if d.Queue == "" {
			c.breaks("the restored app declared a server-named queue")
			return true, nil
		}
	}
	return false, amqp.SetPassive(f)
}

// answerVirtually as the broker would for a method whose answer carries nothing.
func (c *core) answerVirtually(ch *channel, f amqp.Frame) error {
	noWait, err := amqp.NoWait(f)
	if reply := f.Method().Reply(); err == nil && !noWait && reply != 0 {
		ch.answer(amqp.AppendEmpty(nil, ch.ID, reply), nil)
	}
	return err
}

func (c *core) consumeVirtually(ch *channel, f amqp.Frame) error {
	k, err := amqp.DecodeConsume(f)
	if err != nil {
		return err
	}
	if k.Tag == "" {
		k.Tag = serverTag()
	} else if ch.Consumer([]byte(k.Tag)) != nil {
		return &amqp.Error{Code: amqp.CodeNotAllowed, Text: fmt.Sprintf("consumer tag %q is in use", k.Tag)}
	}
	var ok []byte
	if !k.NoWait {
		ok = amqp.AppendConsumerTag(nil, ch.ID, amqp.BasicConsumeOk, k.Tag)
	}
	// Deliveries come after the answer, and that after others that are due.
	ch.answer(ok, func() { c.register(ch, k, false) })
	c.pump()
	return nil
}

// serverTag is a consumer tag as the broker makes them.
func serverTag() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "amq.ctag-" + base64.RawURLEncoding.EncodeToString(b[:])
}

func (c *core) cancelVirtually(ch *channel, f amqp.Frame) error {
	tag, noWait, err := amqp.DecodeConsumerTag(f)
	if err != nil {
		return err
	}
	ch.Remove(tag)
	if !noWait {
		ch.answer(amqp.AppendConsumerTag(nil, ch.ID, amqp.BasicCancelOk, tag), nil)
	}
	return nil
}

func (c *core) settleVirtually(ch *channel, f amqp.Frame) error {
	s, err := amqp.DecodeSettlement(f)
	if err != nil {
		return err
	}
	tag := s.Tag
	if tag == 0 && s.Multiple {
		tag = ch.Tags.Last()
	}
	n := ch.Tags.Settle(tag, s.Multiple)
	if n == 0 && s.Tag != 0 {
		c.breaks(fmt.Sprintf("the restored app settled the delivery %d, which it does not have", s.Tag))
	}
	c.decided(settlementOf(f.Method(), s), n)
	c.replay.settled += uint64(n)
	c.taken(n)
	c.pump()
	return nil
}

// confirmLocally a suppressed publish, when the app has asked for confirms.
func (c *core) confirmLocally(ch *channel) {
	k := &ch.Confirms
	if !k.App {
		return
	}
	k.Offset++
	ch.answer(amqp.AppendAck(nil, ch.ID, uint64(int64(k.Open.Last())+k.Offset), false), nil)
}

// serve the log to the app, in order.
func (c *core) serve() {
	for len(c.replay.waiting) > 0 && c.broken == "" {
		r := c.replay.waiting[0]
		if r.End != nil {
			c.replay.end, c.replay.digest = r.End, r.Digest
			c.replay.waiting = nil
			r.Done()
			return
		}
		to, ok := c.match(r.Entry.Consumer)
		if !ok || c.unacked > 0 && !c.pipes(r.Entry, to) {
			return
		}
		c.replay.waiting[0] = replaylog.Record{}
		c.replay.waiting = c.replay.waiting[1:]
		c.replay.served++
		c.forward(&delivery{ch: to.ch, consumer: to.consumer, msg: amqp.Message{
			ConsumerTag: to.consumer.Tag, Tag: to.ch.Tags.Last() + 1, Redelivered: r.Entry.Redelivered,
			Exchange: r.Entry.Exchange, RoutingKey: r.Entry.RoutingKey,
			Properties: r.Entry.Properties, Body: r.Entry.Body,
		}})
		r.Done()
	}
}

// pipes tells whether an entry may follow one that is not settled: when it did at the source, and, since the app may serve
// its consumers in any order, when the app has had the time to take that.
func (c *core) pipes(e *replaylog.Entry, to attached) bool {
	return e.Piped && (c.lastFed == consumerKey{to.ch, to.consumer.Tag} || c.quiet())
}

// match the consumer of an entry: when the queue has as many consumers as it had at the source, by tag if they have the
// same tags and no other consumer has this one, else by the order of subscription.
func (c *core) match(want replaylog.Consumer) (attached, bool) {
	all := c.consumersOf(want.Queue)
	if len(all) < max(want.Of, 1) {
		return attached{}, false
	}
	at := min(want.Index, len(all)-1)
	if tagsOf(all) == want.Tags {
		named := func(a attached) bool { return a.consumer.Tag == want.Tag }
		first := slices.IndexFunc(all, named)
		if first >= 0 && !slices.ContainsFunc(all[first+1:], named) {
			at = first
		}
	}
	return all[at], true
}

// replayed tells whether END is reached, all is settled, all consumers are back and all outputs have come, none of them
// half.
func (c *core) replayed() bool {
	end := c.replay.end
	if end == nil || c.unacked > 0 || c.outputs.count < end.Outputs || len(c.missing()) > 0 {
		return false
	}
	half := false
	c.each(func(ch *channel) { half = half || ch.output != nil })
	return !half
}

// missing consumers of the source.
func (c *core) missing() []string {
	var missing []string
	have := map[string]int{}
	for _, a := range c.consumersOf("") {
		have[a.consumer.Queue]++
	}
	for _, k := range c.replay.end.Consumers {
		if have[k.Queue]--; have[k.Queue] < 0 {
			missing = append(missing, k.Queue)
		}
	}
	return missing
}

// verify a replay that is done, against END.
func (c *core) verify() string {
	r := &c.replay
	switch {
	case r.end.Entries != r.served:
		return fmt.Sprintf("END counts %d entries, %d were replayed", r.end.Entries, r.served)
	case r.end.Digest != r.digest:
		return "the digest of the log is not the one that END says"
	case r.end.Outputs != c.outputs.count:
		return fmt.Sprintf("the source published %d outputs, the target %d", r.end.Outputs, c.outputs.count)
	case r.end.OutputsDigest != c.outputs.digest:
		return "the target published other outputs than the source"
	case r.end.Decisions != c.decisions.digest:
		return "the target settled other deliveries by other means than the source"
	case len(r.end.Consumers) != len(c.consumersOf("")):
		return fmt.Sprintf("the source had %d consumers, the target has %d", len(r.end.Consumers), len(c.consumersOf("")))
	}
	return ""
}

// goLive turns the virtual sessions into real ones: consumers are subscribed, and from here on tags and numbers of the
// broker are translated.
func (c *core) goLive() {
	c.mode = control.ModeOpen
	c.changed.Broadcast()
	for l := range c.links {
		for _, ch := range l.channels {
			ch.TagOffset = ch.Tags.Last()
			if !ch.closing {
				ch.subscribe()
			}
		}
	}
}
