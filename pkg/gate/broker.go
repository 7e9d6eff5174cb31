package gate

import (
	"fmt"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// onBroker does what a frame of the broker asks for.
func (c *core) onBroker(l *link, f amqp.Frame) error {
	if f.Type == amqp.FrameHeartbeat {
		return nil // the gate sends its own
	}
	if !c.quietly.Load() {
		defer c.changed.Broadcast()
	}
	if q := l.inquiry; q != nil && f.Channel == q.id {
		return c.onInquiry(q, f)
	}
	ch := l.channels[f.Channel]
	if f.Channel == 0 || ch == nil {
		if m := f.Method(); f.Channel == 0 && (m == amqp.ConnectionClose || m == amqp.ConnectionCloseOk) {
			c.onConnectionClose(l, f)
		}
		l.app.put(f.Raw)
		return nil
	}
	if f.Type != amqp.FrameMethod {
		return c.onBrokerContent(ch, f)
	}
	if ch.incoming != nil && ch.arriving.Open() || ch.toApp.Open() {
		return &amqp.Error{Code: amqp.CodeUnexpectedFrame, Text: "method of the broker within a content"}
	}
	switch m := f.Method(); m {
	case amqp.BasicDeliver:
		return c.deliver(ch, f)
	case amqp.BasicAck, amqp.BasicNack:
		return c.confirm(ch, f)
	case amqp.BasicReturn:
		if c.logging() {
			c.breaks("the broker returned an output of the app as unroutable")
		}
	case amqp.BasicGetOk:
		if err := c.got(ch, f); err != nil {
			return err
		}
	case amqp.BasicCancel:
		tag, _, err := amqp.DecodeConsumerTag(f)
		if err != nil {
			return err
		}
		ch.Remove(tag)
		c.breaks(fmt.Sprintf("the broker cancelled the consumer %q", tag))
	case amqp.ChannelClose:
		code, text, err := amqp.DecodeClose(f)
		if err != nil {
			return err
		}
		f = ch.inTagsOfApp(f, text)
		ch.closing = true
		// What the app is sending has no effect any more.
		ch.fromApp, ch.output, ch.deferred = amqp.Content{}, nil, nil
		c.forget(ch)
		c.interrupted(fmt.Sprintf("the broker closed a channel: %d %s", code, text))
	case amqp.ChannelCloseOk:
		c.forget(ch)
		l.drop(ch.ID)
	}
	if _, err := ch.toApp.Step(f); err != nil {
		return err
	}
	return c.onReply(ch, f)
}

func (c *core) onConnectionClose(l *link, f amqp.Frame) {
	l.closing = true
	if f.Method() != amqp.ConnectionClose {
		return
	}
	if code, text, err := amqp.DecodeClose(f); err == nil {
		c.interrupted(fmt.Sprintf("the broker closed the app's connection: %d %s", code, text))
	}
}

// onReply passes a method to the app, unless it answers the gate.
func (c *core) onReply(ch *channel, f amqp.Frame) error {
	p, due := ch.reply(f)
	if due && p.done != nil {
		p.done(f)
	}
	if !due || !p.own {
		ch.link.app.put(f.Raw)
	}
	ch.flushLocal()
	c.pump()
	return nil
}

// deliver a message: it passes when the gate is open, else it is collected.
func (c *core) deliver(ch *channel, f amqp.Frame) error {
	d, err := amqp.DecodeDelivery(f)
	if err != nil {
		return err
	}
	consumer := ch.Consumer(d.ConsumerTag)
	if c.mode != control.ModeOpen {
		ch.incoming = &delivery{ch: ch, consumer: consumer, msg: amqp.Message{
			ConsumerTag: string(d.ConsumerTag), Tag: d.Tag, Redelivered: d.Redelivered,
			Exchange: string(d.Exchange), RoutingKey: string(d.RoutingKey),
		}}
		_, err := ch.arriving.Step(f)
		return err
	}
	tag := d.Tag + ch.TagOffset
	if err := c.give(ch, consumer, tag); err != nil {
		return err
	}
	if ch.TagOffset > 0 {
		d.SetTag(f, tag)
	}
	ch.link.app.put(f.Raw)
	_, err = ch.toApp.Step(f)
	return err
}

// got a message by basic.get.
func (c *core) got(ch *channel, f amqp.Frame) error {
	tag, err := amqp.DecodeTag(f)
	if err != nil {
		return err
	}
	tag += ch.TagOffset
	amqp.SetTag(f, tag)
	// Whether the app must settle it is not known here; gets are refused anyway, so it is not waited for.
	ch.Tags.Skip(tag)
	return nil
}

// onBrokerContent passes header and body frames, or collects them.
func (c *core) onBrokerContent(ch *channel, f amqp.Frame) error {
	if ch.incoming == nil {
		ends, err := ch.toApp.Step(f)
		if err != nil {
			return err
		}
		ch.link.app.put(f.Raw)
		if ends {
			ch.passed()
		}
		return nil
	}
	ends, err := ch.arriving.Step(f)
	if err != nil {
		return err
	}
	msg := &ch.incoming.msg
	if f.Type == amqp.FrameHeader {
		msg.Properties = append([]byte(nil), amqp.Properties(f)...)
		if size := amqp.BodySize(f); size <= waitingBytes {
			msg.Body = make([]byte, 0, size)
		}
	} else {
		msg.Body = append(msg.Body, f.Payload()...)
	}
	if uint64(c.waiting.bytes+len(msg.Body)) > waitingBytes {
		return c.overflow()
	}
	if !ends {
		return nil
	}
	d := ch.incoming
	ch.incoming = nil
	c.arrived(d)
	return nil
}

// arrived whole: a delivery joins those that wait, or goes on when the gate opened meanwhile.
func (c *core) arrived(d *delivery) {
	switch {
	case d.dropped || d.ch.closing:
	case d.consumer == nil:
		c.breaks(fmt.Sprintf("a delivery for the consumer %q, which the gate does not know", d.msg.ConsumerTag))
		d.ch.send(amqp.AppendNack(nil, d.ch.ID, d.msg.Tag))
	case c.mode == control.ModeOpen:
		c.forward(d)
	case c.mode == control.ModeHandedOver || c.virtual():
		c.breaks("a delivery after the consumers were cancelled")
		fallthrough
	default:
		c.waiting.push(d)
		c.pump()
	}
}

// overflow closes the connection: the broker keeps the deliveries.
func (c *core) overflow() error {
	return &amqp.Error{Code: amqp.CodeConnectionForced,
		Text: "more deliveries than the gate may buffer during a migration: set a prefetch limit"}
}

// confirm publishes: the app sees those confirms that it asked for, in its numbers.
func (c *core) confirm(ch *channel, f amqp.Frame) error {
	s, err := amqp.DecodeSettlement(f)
	if err != nil {
		return err
	}
	k := &ch.Confirms
	k.Open.Settle(s.Tag, s.Multiple)
	if f.Method() == amqp.BasicNack && c.logging() {
		c.breaks("the broker refused an output of the app")
	}
	number := int64(s.Tag) + k.Offset
	if k.App && number > 0 {
		amqp.SetTag(f, uint64(number))
		ch.link.app.put(f.Raw)
	}
	return nil
}
