package gate

import (
	"fmt"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/session"
)

// parks tells whether a frame of the app must wait until the mode changes: a source that has handed over publishes and
// subscribes nothing more, for a target may be doing it; a target that has replayed publishes only once it is committed.
func (c *core) parks(l *link, f amqp.Frame) bool {
	if c.broken != "" && c.virtual() {
		return true
	}
	if q := l.inquiry; q != nil && f.Channel == q.id {
		return true // the gate's own channel, until it has its answer
	}
	m := f.Method()
	switch c.mode {
	case control.ModeHandedOver:
		switch m {
		case amqp.ConnectionClose, amqp.ConnectionCloseOk, amqp.ChannelClose, amqp.ChannelCloseOk, amqp.ChannelFlowOk:
			return false
		}
		return f.Type != amqp.FrameHeartbeat
	case control.ModeReplayed:
		return hasEffects(f)
	default:
		return false
	}
}

// hasEffects tells of a frame of the app whether it would change something at the broker, or break a replay. Frames of a
// content come after their method.
func hasEffects(f amqp.Frame) bool {
	if f.Type != amqp.FrameMethod {
		return false
	}
	switch m := f.Method(); m {
	case amqp.ChannelOpen, amqp.ChannelClose, amqp.ChannelCloseOk, amqp.ChannelFlow, amqp.ChannelFlowOk,
		amqp.ExchangeDeclare, amqp.QueueBind, amqp.ExchangeBind, amqp.BasicQos, amqp.ConfirmSelect,
		amqp.BasicConsume, amqp.BasicCancel:
		return false
	case amqp.QueueDeclare:
		d, err := amqp.DecodeQueueDeclare(f)
		return err == nil && d.Queue == ""
	default:
		return m.Class() != amqp.ClassConnection
	}
}

// onApp does what a frame of the app asks for. An error is one of the protocol: the connection must be closed.
func (c *core) onApp(l *link, f amqp.Frame) error {
	if f.Type == amqp.FrameHeartbeat {
		return nil // the gate sends its own
	}
	if !c.quietly.Load() {
		defer c.changed.Broadcast()
	}
	if f.Channel == 0 {
		return c.onAppConnection(l, f)
	}
	ch := l.channels[f.Channel]
	if f.Method() == amqp.ChannelOpen && ch == nil {
		ch = l.open(f.Channel)
	}
	if ch == nil || ch.closing && f.Method() != amqp.ChannelCloseOk && f.Method() != amqp.ChannelClose {
		l.broker.put(f.Raw) // the broker knows what to say
		return nil
	}
	if f.Type != amqp.FrameMethod {
		return c.onAppContent(ch, f)
	}
	if _, err := ch.fromApp.Step(f); err != nil {
		return err
	}
	if c.virtual() {
		if done, err := c.onVirtual(ch, f); done || err != nil {
			return err
		}
	}
	return c.onAppMethod(ch, f)
}

func (c *core) onAppConnection(l *link, f amqp.Frame) (err error) {
	switch f.Method() {
	case amqp.ConnectionTuneOk:
		l.Tune, err = amqp.DecodeTune(f)
	case amqp.ConnectionOpen:
		l.VHost, err = amqp.DecodeOpen(f)
	case amqp.ConnectionClose, amqp.ConnectionCloseOk:
		l.closing = true
	}
	if err == nil {
		l.broker.put(f.Raw)
	}
	return err
}

// onAppContent passes header and body frames of a publish, or takes them out of a virtual session.
func (c *core) onAppContent(ch *channel, f amqp.Frame) error {
	ends, err := ch.fromApp.Step(f)
	if err != nil {
		return err
	}
	if ch.output != nil {
		ch.output.add(f)
	}
	suppressed := ch.output != nil && ch.output.suppressed
	if !suppressed {
		ch.link.broker.put(f.Raw)
	}
	if !ends {
		return nil
	}
	if ch.output != nil {
		c.outputs.add(ch.output)
		ch.output = nil
	}
	if suppressed {
		c.confirmLocally(ch)
	}
	if len(ch.deferred) > 0 {
		ch.link.broker.put(ch.deferred)
		ch.deferred = nil
	}
	return nil
}

func (c *core) onAppMethod(ch *channel, f amqp.Frame) error {
	switch m := f.Method(); m {
	case amqp.BasicAck, amqp.BasicNack, amqp.BasicReject:
		return c.settle(ch, f)
	case amqp.BasicPublish:
		return c.publish(ch, f)
	case amqp.BasicRecover, amqp.BasicRecoverAsync:
		c.forget(ch)
	case amqp.ChannelClose:
		if ch.Tags.Len() > 0 && !c.between() {
			c.breaks("the app closed a channel with deliveries that it had not settled")
		}
		ch.closing = true
		c.forget(ch)
	case amqp.ChannelCloseOk:
		c.forget(ch)
		ch.link.drop(ch.ID)
	case amqp.BasicGet:
		ch.Gets = true
		c.breaks("the app used basic.get during the migration")
	case amqp.TxSelect:
		ch.Tx = true
		c.breaks("the app began a transaction during the migration")
	}
	if err := c.request(ch, f); err != nil {
		return err
	}
	ch.link.broker.put(f.Raw)
	c.pump()
	return nil
}

// request notes what a synchronous method asks for and which answer is due.
func (c *core) request(ch *channel, f amqp.Frame) error {
	m := f.Method()
	if m.Reply() == 0 {
		return nil
	}
	noWait, err := amqp.NoWait(f)
	if err != nil {
		return err
	}
	p := pending{reply: m.Reply()}
	switch m {
	case amqp.BasicConsume:
		if c.mode == control.ModeHandingOver {
			c.breaks("the app subscribed a consumer during the hand-over")
		}
		var k amqp.Consume
		if k, err = amqp.DecodeConsume(f); err != nil {
			return err
		}
		p.done = func(ok amqp.Frame) {
			if ok.Raw != nil {
				k.Tag, _, _ = amqp.DecodeConsumerTag(ok)
			}
			c.register(ch, k, true)
		}
	case amqp.BasicCancel:
		var tag string
		if tag, _, err = amqp.DecodeConsumerTag(f); err != nil {
			return err
		}
		if c.mode == control.ModeHandingOver {
			c.breaks("the app cancelled a consumer during the hand-over")
		}
		cancelled := func(d *delivery) bool { return d.ch == ch && d.consumer.Tag == tag }
		c.giveBack(cancelled)
		p.done = func(amqp.Frame) {
			c.giveBack(cancelled)
			ch.Remove(tag)
		}
	case amqp.BasicQos:
		var q amqp.Qos
		if q, err = amqp.DecodeQos(f); err != nil {
			return err
		}
		p.done = func(amqp.Frame) { ch.setQos(q) }
	case amqp.ConfirmSelect:
		ch.selectConfirms()
	case amqp.BasicRecover:
		// What had been sent before the broker got the request is sent again, too.
		p.done = func(amqp.Frame) { c.forget(ch) }
	case amqp.QueueDeclare:
		if p.done, err = c.declared(ch, f); err != nil {
			return err
		}
	}
	switch {
	case !noWait:
		ch.pending = append(ch.pending, p)
	case p.done != nil:
		p.done(amqp.Frame{})
	}
	return nil
}

// register a consumer that the app has subscribed.
func (c *core) register(ch *channel, k amqp.Consume, subscribed bool) {
	if k.Queue == "" {
		k.Queue = ch.lastQueue
	}
	if k.NoAck {
		c.breaks("the app subscribed an auto-acknowledging consumer during the migration")
	}
	c.orders++
	consumer := &session.Consumer{Consume: k, Qos: ch.Qos, Order: c.orders, Subscribed: subscribed}
	ch.Consumers = append(ch.Consumers, consumer)
	if c.cancelled {
		ch.cancel(consumer) // it was asked for before the others were cancelled
	}
}

func (ch *channel) setQos(q amqp.Qos) {
	if q.Global {
		ch.GlobalQos = &q
		return
	}
	ch.Qos = q
}

// selectConfirms puts the channel in confirm mode for the app. The broker may have confirmed publishes before it: the
// app's numbers begin here.
func (ch *channel) selectConfirms() {
	k := &ch.Confirms
	if !k.App {
		k.App, k.Broker, k.Offset = true, true, -int64(k.Open.Last())
	}
}

// declared follows which queue an empty name means.
func (c *core) declared(ch *channel, f amqp.Frame) (func(amqp.Frame), error) {
	d, err := amqp.DecodeQueueDeclare(f)
	if err != nil {
		return nil, err
	}
	return func(ok amqp.Frame) {
		ch.lastQueue = d.Queue
		if ok.Raw != nil {
			ch.lastQueue, _, _ = amqp.DecodeQueueDeclareOk(ok)
		}
	}, nil
}

// settle deliveries at the broker as the app has.
func (c *core) settle(ch *channel, f amqp.Frame) error {
	s, err := amqp.DecodeSettlement(f)
	if err != nil {
		return err
	}
	tag := s.Tag
	if tag == 0 && s.Multiple {
		if ch.Gets {
			return c.settleFetched(ch, f)
		}
		// "All so far" must not reach deliveries that wait in the gate.
		if tag = ch.Tags.Highest(); tag == 0 {
			return nil
		}
	}
	n := ch.Tags.Settle(tag, s.Multiple)
	if s.Multiple && n > 1 {
		ch.Batches = true
	}
	c.decided(settlementOf(f.Method(), s), n)
	c.taken(n)
	switch {
	case tag > ch.Tags.Last() || tag == 0:
		ch.unknownTag = tag
		amqp.SetTag(f, unknownTag) // unknown to the app, so unknown to the broker: it closes the channel
	case tag <= ch.TagOffset:
		return nil // settled in the replay
	default:
		amqp.SetTag(f, tag-ch.TagOffset)
	}
	ch.link.broker.put(f.Raw)
	c.pump()
	return nil
}

// settleFetched settles all that the app has got on a channel with basic.get: what it fetched is not followed.
func (c *core) settleFetched(ch *channel, f amqp.Frame) error {
	c.taken(ch.Tags.Settle(ch.Tags.Last(), true))
	ch.link.broker.put(f.Raw)
	c.pump()
	return nil
}

// publish begins a publish to the broker. Channels on which an app publishes are in confirm mode there, for the gate to
// know when a publish is safe.
func (c *core) publish(ch *channel, f amqp.Frame) error {
	p, err := amqp.DecodePublish(f)
	if err != nil {
		return err
	}
	k := &ch.Confirms
	if !ch.Tx {
		if !k.Broker {
			k.Broker = true
			ch.link.broker.put(amqp.AppendConfirmSelect(nil, ch.ID))
		}
		if err := k.Open.Add(k.Open.Last() + 1); err != nil {
			return fmt.Errorf("counting publishes: %w", err)
		}
	}
	if c.logging() {
		ch.output = newOutput(p)
	}
	ch.link.broker.put(f.Raw)
	return nil
}
