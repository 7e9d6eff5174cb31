package gate

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
	"ms2m.dev/ms2m-descheduler/pkg/gate/session"
)

// waitingBytes bounds the deliveries that wait in the gate. What a broker sends is bounded by the consumers' prefetch; an
// app without one and with a long queue cannot be held.
const waitingBytes = 128 << 20

// delivery of a message that waits in the gate.
type delivery struct {
	ch       *channel
	consumer *session.Consumer
	// msg.Tag is the broker's.
	msg amqp.Message
	// dropped before it had arrived whole.
	dropped bool
}

// deliveries in the order of their arrival over all channels.
type deliveries struct {
	list  []*delivery
	bytes int
}

func (q *deliveries) push(d *delivery) {
	q.list = append(q.list, d)
	q.bytes += len(d.msg.Body)
}

func (q *deliveries) remove(i int) *delivery {
	d := q.list[i]
	q.bytes -= len(d.msg.Body)
	if i == 0 {
		q.list[0] = nil
		q.list = q.list[1:]
	} else {
		q.list = append(q.list[:i:i], q.list[i+1:]...)
	}
	return d
}

// take those that match out of the queue.
func (q *deliveries) take(match func(*delivery) bool) []*delivery {
	var taken []*delivery
	for i := 0; i < len(q.list); {
		if match(q.list[i]) {
			taken = append(taken, q.remove(i))
		} else {
			i++
		}
	}
	return taken
}

// pump forwards what may be forwarded now.
func (c *core) pump() {
	switch c.mode {
	case control.ModeHolding:
		c.feedBatch()
	case control.ModeLogging, control.ModeHandingOver:
		for i := c.next(); i >= 0; i = c.next() {
			piped := c.unacked > 0
			d := c.waiting.remove(i)
			c.append(d, piped)
			c.forward(d)
		}
	case control.ModeReplaying:
		c.serve()
	default: // what comes when open is forwarded as it comes, and in the other modes nothing is
	}
}

// next delivery that may follow now, or -1: the first, when all before it are settled; or else, for an app that settles
// in batches and has been quiet, the first on the channel of the batch.
func (c *core) next() int {
	if c.unacked == 0 {
		if c.pausing || len(c.waiting.list) == 0 {
			return -1
		}
		return 0
	}
	batch := c.lastFed.ch
	i := slices.IndexFunc(c.waiting.list, func(d *delivery) bool { return d.ch == batch })
	if i < 0 || !batch.Batches || !c.quiet() {
		return -1
	}
	return i
}

// quiet tells whether the app has settled nothing for so long that it seems to wait for more. Else it looks again later.
func (c *core) quiet() bool {
	left := c.rates.quiet() - c.now().Sub(c.progress)
	if left > 0 {
		c.arm(left + time.Millisecond)
	}
	return left <= 0
}

// feedBatch helps an app that settles in batches to come to the end of one while it is being held.
func (c *core) feedBatch() {
	if c.unacked == 0 || !c.quiet() {
		return
	}
	for i, d := range c.waiting.list {
		if d.ch.Tags.Len() > 0 {
			d.ch.Batches = true
			c.forward(c.waiting.remove(i))
			c.quiet()
			return
		}
	}
}

// forward a delivery to the app.
func (c *core) forward(d *delivery) {
	d.msg.Tag += d.ch.TagOffset
	if err := c.give(d.ch, d.consumer, d.msg.Tag); err != nil {
		c.breaks(err.Error())
		return
	}
	c.lastFed = consumerKey{d.ch, d.consumer.Tag}
	add := func(dst []byte) []byte { return amqp.AppendDelivery(dst, d.ch.ID, d.ch.link.Tune.FrameMax, d.msg) }
	if d.ch.toApp.Open() {
		d.ch.later = add(d.ch.later)
		return
	}
	d.ch.link.app.build(add)
}

// give counts a delivery that goes to the app, and that it must settle unless the consumer acknowledges automatically.
func (c *core) give(ch *channel, k *session.Consumer, tag uint64) error {
	c.forwarded++
	if k != nil && k.NoAck || ch.closing {
		ch.Tags.Skip(tag)
		c.rates.arrived(c.now(), 1)
		return nil
	}
	if err := ch.Tags.Add(tag); err != nil {
		return fmt.Errorf("following delivery tags: %w", err)
	}
	now := c.now()
	if c.unacked == 0 {
		c.rates.served(now, 0, true)
	}
	c.unacked++
	c.progress = now
	return nil
}

// taken counts deliveries that the app has settled.
func (c *core) taken(n int) {
	if n == 0 {
		return
	}
	c.unacked -= n
	c.progress = c.now()
	c.rates.served(c.progress, n, c.unacked > 0)
	c.rates.arrived(c.progress, float64(n))
}

// append a delivery to the log.
func (c *core) append(d *delivery, piped bool) {
	if c.log == nil || c.broken != "" {
		return
	}
	c.entries++
	e := replaylog.Entry{
		Seq: c.entries, Consumer: c.identify(d.consumer), Piped: piped, Redelivered: d.msg.Redelivered,
		Exchange: d.msg.Exchange, RoutingKey: d.msg.RoutingKey, Properties: d.msg.Properties, Body: d.msg.Body,
	}
	record := e.Append(make([]byte, 0, len(e.Body)+len(e.Properties)+512))
	c.digest = c.digest.Next(record)
	c.log.Append(record)
}

// identify a consumer as another gate can find it again.
func (c *core) identify(k *session.Consumer) replaylog.Consumer {
	all := c.consumersOf(k.Queue)
	id := replaylog.Consumer{Queue: k.Queue, Tag: k.Tag, Of: len(all), Tags: tagsOf(all)}
	id.Index = max(0, slices.IndexFunc(all, func(a attached) bool { return a.consumer == k }))
	return id
}

func tagsOf(all []attached) uint64 {
	tags := make([]string, len(all))
	for i, a := range all {
		tags[i] = a.consumer.Tag
	}
	return replaylog.TagsOf(tags)
}

// attached is a consumer with its channel.
type attached struct {
	ch       *channel
	consumer *session.Consumer
}

// consumersOf a queue, or of all queues when it is empty, in the order of their subscription.
func (c *core) consumersOf(queue string) []attached {
	var all []attached
	c.each(func(ch *channel) {
		for _, k := range ch.Consumers {
			if queue == "" || k.Queue == queue {
				all = append(all, attached{ch, k})
			}
		}
	})
	sort.Slice(all, func(i, j int) bool { return all[i].consumer.Order < all[j].consumer.Order })
	return all
}

// forget what is on a channel that closes: the broker requeues it.
func (c *core) forget(ch *channel) {
	c.waiting.take(func(d *delivery) bool { return d.ch == ch })
	c.taken(ch.Tags.Settle(ch.Tags.Last(), true))
	if ch.incoming != nil {
		ch.incoming.dropped = true
	}
}

// giveBack deliveries that the app has not seen: the broker puts them where they were in the queue.
func (c *core) giveBack(match func(*delivery) bool) {
	for _, d := range c.waiting.take(match) {
		d.ch.send(amqp.AppendNack(nil, d.ch.ID, d.msg.Tag))
	}
}
