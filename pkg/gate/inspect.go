package gate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/session"
)

const (
	// inspectTimeout bounds the questions about all consumed queues.
	inspectTimeout = 5 * time.Second
	// inspectRounds bounds the questions about one queue: more than a queue has arguments.
	inspectRounds = 32
	// leastExpiry of a queue that the broker deletes when it has been without consumers for so long, as it is between
	// hand-over and commit.
	leastExpiry = 5 * time.Minute
)

// inquiry asks the broker what a consumed queue is, whoever declared it. AMQP has no question for that; but a
// declaration that does not agree with the queue is refused with what the queue has instead, argument by argument. The
// gate declares it on a channel of its own on the app's connection, with the app's rights, and each time takes over what
// the broker names, until the broker has come to the last argument of interest. That one never agrees, since it is of a
// type that it cannot be of; which is also why no queue is made if there is none.
type inquiry struct {
	link  *link
	id    uint16
	queue string

	transient bool
	arguments []amqp.Field
	rounds    int
	// expiring says that the queue is deleted too soon.
	expiring string

	done bool
	// unfit says why consumers of the queue cannot be migrated.
	unfit string
}

// inspect asks about the queues of all consumers that are not known, and of those that the app is about to subscribe.
// Called under the lock, which it gives up meanwhile; when it returns, there are no others.
func (c *core) inspect(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, inspectTimeout,
		refuse(control.ReasonBroker, "the broker did not tell within %s what queues the app consumes", inspectTimeout))
	defer cancel()
	for _, a := range c.consumersOf("") {
		if a.consumer.Unfit != "" {
			a.consumer.Inspected = false // the user's rights may have changed
		}
	}
	for {
		if err := c.await(ctx, func() bool { return !c.subscribing() }); err != nil {
			return err
		}
		all := c.consumersOf("")
		i := slices.IndexFunc(all, func(a attached) bool { return !a.consumer.Inspected })
		if i < 0 {
			return nil
		}
		unfit, err := c.inquire(ctx, all[i].ch.link, all[i].consumer)
		if err != nil {
			return err
		}
		all[i].consumer.Inspected, all[i].consumer.Unfit = true, unfit
	}
}

// subscribing tells whether the app waits for a consumer.
func (c *core) subscribing() (some bool) {
	c.each(func(ch *channel) {
		some = some || slices.ContainsFunc(ch.pending, func(p pending) bool { return p.reply == amqp.BasicConsumeOk && !p.own })
	})
	return some
}

// inquire about the queue of a consumer: why it cannot be migrated.
func (c *core) inquire(ctx context.Context, l *link, k *session.Consumer) (unfit string, err error) {
	if k.NoAck {
		return "", nil // refused anyway
	}
	if strings.HasPrefix(k.Queue, "amq.") {
		return "is server-named", nil
	}
	if err := c.await(ctx, func() bool { return l.inquiry == nil }); err != nil {
		return "", err
	}
	q := &inquiry{link: l, queue: k.Queue}
	var free bool
	if q.id, free = l.freeChannel(); !free || l.gone {
		return "is not known to the gate, since the app's connection has no free channel to ask the broker about it", nil
	}
	l.inquiry = q
	q.ask()
	err = c.await(ctx, func() bool { return q.done })
	return q.unfit, err
}

// freeChannel that the app will hardly want: clients number theirs from 1.
func (l *link) freeChannel() (id uint16, ok bool) {
	for id = l.Tune.ChannelMax - 1; id > 0; id-- { // no limit is 0
		if _, taken := l.channels[id]; !taken {
			return id, true
		}
	}
	return 0, false
}

// ask the next question. The broker closes the channel with every answer but the last.
func (q *inquiry) ask() {
	q.rounds++
	b := amqp.AppendChannelOpen(nil, q.id)
	arguments := slices.Concat(q.arguments, []amqp.Field{{Name: argSingle, Kind: amqp.FieldText}})
	q.link.broker.put(amqp.AppendDeclare(b, q.id, q.queue, !q.transient, arguments))
}

// Arguments of queues.
const (
	argType    = "x-queue-type"
	argSingle  = "x-single-active-consumer"
	argExpires = "x-expires"
)

// onInquiry takes what the broker sends on the channel of an inquiry.
func (c *core) onInquiry(q *inquiry, f amqp.Frame) error {
	switch f.Method() {
	case amqp.ChannelClose:
		code, text, err := amqp.DecodeClose(f)
		if err != nil {
			return err
		}
		q.link.broker.put(amqp.AppendEmpty(nil, q.id, amqp.ChannelCloseOk))
		if q.learn(code, text) && q.rounds < inspectRounds {
			q.ask()
			return nil
		}
		c.concluded(q)
	case amqp.QueueDeclareOk:
		q.unfit = "is of a type that the gate does not know" // and which does not know the argument
		q.link.broker.put(amqp.AppendChannelClose(nil, q.id))
	case amqp.ChannelCloseOk:
		c.concluded(q)
	}
	return nil
}

// concluded inquiries free their channel for the app.
func (c *core) concluded(q *inquiry) {
	q.done, q.link.inquiry = true, nil
	c.changed.Broadcast()
}

var inequivalent = regexp.MustCompile(`(?s)inequivalent arg '([^']+)' for queue .* but current is (none|'([^']*)'|the value '(.*)' of type '(\w+)')$`)

// learn from the broker's refusal; it tells whether there is more to be asked.
func (q *inquiry) learn(code uint16, text string) (more bool) {
	switch code {
	case amqp.CodePreconditionFailed:
	case amqp.CodeResourceLocked:
		q.unfit = "is exclusive"
		return false
	case amqp.CodeAccessRefused:
		q.unfit = "is not known to the gate: let the app's broker user configure it, so that the gate may ask the broker about it"
		return false
	default:
		q.unfit = fmt.Sprintf("is not known to the gate: the broker says %d %s", code, text)
		return false
	}
	q.unfit = "is not known to the gate: the broker says " + text // unless it is understood
	m := inequivalent.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	name, current := m[1], m[3]+m[4]
	switch {
	case name == "durable" && !q.transient:
		q.transient = true
	case name == "auto_delete" && current == "true":
		q.unfit = "is auto-delete"
		return false
	case name == argSingle:
		// The broker counts only the active one of a quorum queue's consumers: whether others wait cannot be asked.
		if q.unfit = q.expiring; current == "true" {
			q.unfit = "is a single-active-consumer queue, whose other consumers would take over"
		}
		return false
	case name == argType && m[2] == "none":
		// A classic queue that was declared without its type, where the default is another one.
		q.arguments = append(q.arguments, amqp.Field{Name: name, Kind: amqp.FieldText, Text: "classic"})
	case name == argType && current != "classic" && current != "quorum":
		q.unfit = "is a " + current
		return false
	case strings.HasPrefix(name, "x-") && q.take(name, current, m[5]):
	default:
		return false
	}
	q.unfit = ""
	return true
}

// take over an argument that the queue has.
func (q *inquiry) take(name, value, kind string) bool {
	for _, have := range q.arguments {
		if have.Name == name {
			return false // it was taken over already, and does not agree
		}
	}
	field := amqp.Field{Name: name, Kind: amqp.FieldNumber}
	switch kind {
	case "longstr":
		field.Kind, field.Text = amqp.FieldText, value
	case "bool":
		field.Kind, field.Number = amqp.FieldBool, 0
		if value == "true" {
			field.Number = 1
		}
	default:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return false
		}
		field.Number = n
	}
	if idle := time.Duration(field.Number) * time.Millisecond; name == argExpires && idle < leastExpiry {
		q.expiring = fmt.Sprintf("is deleted by the broker when nobody consumes from it for %s, as may happen in a migration: let x-expires be %s or more", idle, leastExpiry)
	}
	q.arguments = append(q.arguments, field)
	return true
}
