package main

import (
	"fmt"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

type channel struct {
	*amqp091.Channel
	session  *session
	closed   chan *amqp091.Error
	returns  chan amqp091.Return
	cancels  chan string
	confirms chan amqp091.Confirmation
	// incoming deliveries of all consumers; those of one are in order. pending are those that were not asked for yet.
	incoming chan amqp091.Delivery
	pending  []amqp091.Delivery
}

// done makes an operation that has no result.
func done(do func(*channel, step) error) func(*channel, step) (result, error) {
	return func(ch *channel, s step) (result, error) { return nil, do(ch, s) }
}

var onChannel = map[string]func(*channel, step) (result, error){
	"channel.close":    done(func(ch *channel, _ step) error { return ch.Close() }),
	"queue.declare":    (*channel).declareQueue,
	"queue.bind":       done(func(ch *channel, s step) error { return ch.QueueBind(s.bound("queue")) }),
	"queue.unbind":     done((*channel).unbindQueue),
	"queue.purge":      (*channel).purge,
	"queue.delete":     (*channel).deleteQueue,
	"exchange.declare": done((*channel).declareExchange),
	"exchange.bind":    done((*channel).bindExchange),
	"exchange.unbind":  done((*channel).unbindExchange),
	"exchange.delete": done(func(ch *channel, s step) error {
		return ch.ExchangeDelete(s.text("exchange"), s.flag("ifUnused"), s.flag("nowait"))
	}),
	"qos":             done(func(ch *channel, s step) error { return ch.Qos(s.number("count"), 0, s.flag("global")) }),
	"publish":         done((*channel).publish),
	"confirm.select":  done((*channel).selectConfirms),
	"tx.select":       done(func(ch *channel, _ step) error { return ch.Tx() }),
	"tx.commit":       done(func(ch *channel, _ step) error { return ch.TxCommit() }),
	"tx.rollback":     done(func(ch *channel, _ step) error { return ch.TxRollback() }),
	"consume":         (*channel).consume,
	"cancel":          done(func(ch *channel, s step) error { return ch.Cancel(s.text("tag"), s.flag("nowait")) }),
	"get":             (*channel).get,
	"ack":             done(func(ch *channel, s step) error { return ch.Ack(s.tag(), s.flag("multiple")) }),
	"nack":            done(func(ch *channel, s step) error { return ch.Nack(s.tag(), s.flag("multiple"), s.flag("requeue")) }),
	"reject":          done(func(ch *channel, s step) error { return ch.Reject(s.tag(), s.flag("requeue")) }),
	"recover":         done(func(ch *channel, _ step) error { return ch.Recover(true) }), //nolint:staticcheck // deprecated, but apps use it
	"await delivery":  (*channel).awaitDelivery,
	"await return":    (*channel).awaitReturn,
	"await confirms":  (*channel).awaitConfirms,
	"await cancelled": (*channel).awaitCancelled,
	"await closed":    (*channel).awaitClosed,
	"await queue":     (*channel).awaitQueue,
}

func (s step) tag() uint64 { return uint64(s.number("tag")) }

// bound are the arguments of a binding.
func (s step) bound(destination string) (name, key, source string, nowait bool, args amqp091.Table) {
	source = s.text("exchange")
	if destination == "destination" {
		source = s.text("source")
	}
	return s.text(destination), s.text("key"), source, s.flag("nowait"), s.table("arguments")
}

func (ch *channel) declareQueue(s step) (result, error) {
	declare := ch.QueueDeclare
	if s.flag("passive") {
		declare = ch.QueueDeclarePassive
	}
	q, err := declare(s.text("queue"), !s.flag("transient"), s.flag("autoDelete"), s.flag("exclusive"), s.flag("nowait"), s.table("arguments"))
	if err != nil || s.flag("nowait") {
		return nil, err
	}
	ch.session.queue = q.Name
	return result{"queue": q.Name, "messages": q.Messages, "consumers": q.Consumers}, nil
}

func (ch *channel) unbindQueue(s step) error {
	return ch.QueueUnbind(s.text("queue"), s.text("key"), s.text("exchange"), s.table("arguments"))
}

func (ch *channel) purge(s step) (result, error) {
	n, err := ch.QueuePurge(s.text("queue"), false)
	return result{"messages": n}, err
}

func (ch *channel) deleteQueue(s step) (result, error) {
	n, err := ch.QueueDelete(s.text("queue"), s.flag("ifUnused"), s.flag("ifEmpty"), s.flag("nowait"))
	return result{"messages": n}, err
}

func (ch *channel) declareExchange(s step) error {
	declare := ch.ExchangeDeclare
	if s.flag("passive") {
		declare = ch.ExchangeDeclarePassive
	}
	return declare(s.text("exchange"), s.text("type"), !s.flag("transient"), s.flag("autoDelete"), s.flag("internal"), s.flag("nowait"), s.table("arguments"))
}

func (ch *channel) bindExchange(s step) error { return ch.ExchangeBind(s.bound("destination")) }

func (ch *channel) unbindExchange(s step) error { return ch.ExchangeUnbind(s.bound("destination")) }

func (ch *channel) awaitClosed(step) (result, error) {
	reason, err := take(ch.closed)
	if err != nil {
		return nil, err
	}
	return result{"code": reason.Code, "text": reason.Reason}, nil
}

func (ch *channel) awaitCancelled(step) (result, error) {
	tag, err := take(ch.cancels)
	return result{"consumer": tag}, err
}

// awaitQueue waits until a queue has so many messages ready and so many consumers.
func (ch *channel) awaitQueue(s step) (result, error) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		q, err := ch.QueueDeclarePassive(s.text("queue"), true, false, false, false, nil)
		switch {
		case err != nil:
			return nil, err
		case q.Messages == s.number("ready") && q.Consumers == s.number("consumers"):
			return nil, nil
		case time.Since(begin) > patience:
			return nil, fmt.Errorf("%w: %d messages ready, %d consumers", errImpatient, q.Messages, q.Consumers)
		}
	}
}
