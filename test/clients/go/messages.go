package main

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/rabbitmq/amqp091-go"
)

func (ch *channel) publish(s step) error {
	m := publishing(s.properties())
	m.Body = body(s)
	return ch.Publish(s.text("exchange"), s.text("key"), s.flag("mandatory"), false, m)
}

func (s step) properties() map[string]any { v, _ := s["properties"].(map[string]any); return v }

// body is given, or of a size, byte i being i modulo 251.
func body(s step) []byte {
	if s["size"] == nil {
		return []byte(s.text("body"))
	}
	b := make([]byte, s.number("size"))
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func (ch *channel) selectConfirms(step) error {
	if ch.confirms == nil {
		ch.confirms = ch.NotifyPublish(make(chan amqp091.Confirmation, 100))
	}
	return ch.Confirm(false)
}

// awaitConfirms of so many publishes.
func (ch *channel) awaitConfirms(s step) (result, error) {
	acked, nacked := 0, 0
	for acked+nacked < s.number("count") {
		c, err := take(ch.confirms)
		switch {
		case err != nil:
			return nil, err
		case c.Ack:
			acked++
		default:
			nacked++
		}
	}
	return result{"acked": acked, "nacked": nacked}, nil
}

func (ch *channel) awaitReturn(step) (result, error) {
	m, err := take(ch.returns)
	if err != nil {
		return nil, err
	}
	r := content(m.Body, propertiesOfReturn(m))
	r["code"], r["text"], r["exchange"], r["key"] = m.ReplyCode, m.ReplyText, m.Exchange, m.RoutingKey
	return r, nil
}

func (ch *channel) consume(s step) (result, error) {
	messages, err := ch.Consume(s.text("queue"), s.text("tag"), s.flag("noAck"), s.flag("exclusive"), false, s.flag("nowait"), s.table("arguments"))
	if err != nil {
		return nil, err
	}
	go func() {
		for m := range messages {
			ch.incoming <- m
		}
	}()
	return result{"tag": s.text("tag")}, nil
}

// awaitDelivery for a consumer, or for any.
func (ch *channel) awaitDelivery(s step) (result, error) {
	wanted := s.text("consumer")
	for i, m := range ch.pending {
		if wanted == "" || m.ConsumerTag == wanted {
			ch.pending = append(ch.pending[:i:i], ch.pending[i+1:]...)
			return ch.delivered(m), nil
		}
	}
	for {
		m, err := take(ch.incoming)
		if err != nil {
			return nil, err
		}
		if wanted == "" || m.ConsumerTag == wanted {
			return ch.delivered(m), nil
		}
		ch.pending = append(ch.pending, m)
	}
}

func (ch *channel) delivered(m amqp091.Delivery) result {
	r := ch.message(m)
	r["consumer"] = m.ConsumerTag
	return r
}

func (ch *channel) get(s step) (result, error) {
	m, ok, err := ch.Get(s.text("queue"), s.flag("noAck"))
	if err != nil || !ok {
		return result{"empty": true}, err
	}
	r := ch.message(m)
	r["remaining"] = m.MessageCount
	return r, nil
}

func (ch *channel) message(m amqp091.Delivery) result {
	ch.session.reply = m.ReplyTo
	r := content(m.Body, propertiesOf(m))
	r["tag"], r["redelivered"], r["exchange"], r["key"] = m.DeliveryTag, m.Redelivered, m.Exchange, m.RoutingKey
	return r
}

// content is shown whole when it is short.
func content(body []byte, properties map[string]any) result {
	r := result{"size": len(body), "properties": properties}
	if len(body) <= 64 {
		r["body"] = string(body)
	} else {
		sum := sha256.Sum256(body)
		r["sha256"] = hex.EncodeToString(sum[:])
	}
	return r
}
