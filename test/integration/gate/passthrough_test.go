//go:build integration

package gate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

// client does something and writes down what it sees, the same through the gate as without it.
type client struct {
	*testing.T
	conn  *amqp091.Connection
	queue string
	seen  strings.Builder
}

func (c *client) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(&c.seen, strings.ReplaceAll(line, c.queue, "QUEUE"))
}

func (c *client) channel() *amqp091.Channel {
	ch, err := c.conn.Channel()
	require.NoError(c, err)
	return ch
}

func (c *client) publish(ch *amqp091.Channel, body string) {
	require.NoError(c, ch.Publish("", c.queue, false, false, amqp091.Publishing{Body: []byte(body)}))
}

func (c *client) consume(ch *amqp091.Channel, autoAck bool) <-chan amqp091.Delivery {
	m, err := ch.Consume(c.queue, "consumer", autoAck, false, false, false, nil)
	require.NoError(c, err)
	return m
}

func (c *client) take(ch <-chan amqp091.Delivery) amqp091.Delivery {
	select {
	case m := <-ch:
		c.note("delivery %q tag=%d redelivered=%v exchange=%q key=%q size=%d", m.Body[:min(len(m.Body), 20)], m.DeliveryTag, m.Redelivered, m.Exchange, m.RoutingKey, len(m.Body))
		return m
	case <-time.After(5 * time.Second):
		c.Fatal("no delivery")
		return amqp091.Delivery{}
	}
}

// ready waits until all before it has reached the broker.
func (c *client) ready(ch *amqp091.Channel) {
	q, err := ch.QueueDeclarePassive(c.queue, true, false, false, false, nil)
	require.NoError(c, err)
	c.note("ready=%d consumers=%d", q.Messages, q.Consumers)
}

var behaviours = map[string]func(*client){
	"settle": func(c *client) {
		ch := c.channel()
		require.NoError(c, ch.Qos(20, 0, false))
		m := c.consume(ch, false)
		for i := range 6 {
			c.publish(ch, fmt.Sprint("m", i))
		}
		var all []amqp091.Delivery
		for range 6 {
			all = append(all, c.take(m))
		}
		require.NoError(c, all[1].Ack(true))
		require.NoError(c, all[2].Nack(false, true))
		c.take(m)
		require.NoError(c, all[3].Reject(true))
		c.take(m)
		require.NoError(c, all[4].Reject(false))
		require.NoError(c, ch.Ack(0, true))
		c.ready(ch)
		require.NoError(c, ch.Cancel("consumer", false))
		c.ready(ch)
	},
	"confirms begin at the select": func(c *client) {
		ch := c.channel()
		c.publish(ch, "before")
		c.publish(ch, "before")
		require.NoError(c, ch.Confirm(false))
		confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, 10))
		for range 3 {
			c.publish(ch, "after")
			k := <-confirms
			c.note("confirm %d %v", k.DeliveryTag, k.Ack)
		}
		require.NoError(c, ch.Confirm(false))
		c.ready(ch)
	},
	"returned": func(c *client) {
		ch := c.channel()
		require.NoError(c, ch.Confirm(false))
		returns, confirms := ch.NotifyReturn(make(chan amqp091.Return, 1)), ch.NotifyPublish(make(chan amqp091.Confirmation, 1))
		require.NoError(c, ch.Publish("", "nowhere", true, false, amqp091.Publishing{Body: []byte("x")}))
		r := <-returns
		c.note("return %d %s %q", r.ReplyCode, r.ReplyText, r.Body)
		k := <-confirms
		c.note("confirm %d %v", k.DeliveryTag, k.Ack)
	},
	"get": func(c *client) {
		ch := c.channel()
		_, ok, err := ch.Get(c.queue, false)
		c.note("get %v %v", ok, err)
		c.publish(ch, "one")
		eventually(c.T, "message is in the queue", func() bool {
			q, err := ch.QueueDeclarePassive(c.queue, true, false, false, false, nil)
			require.NoError(c, err)
			return q.Messages == 1
		})
		m, ok, err := ch.Get(c.queue, false)
		c.note("get %v %v tag=%d", ok, err, m.DeliveryTag)
		require.NoError(c, m.Ack(false))
		c.publish(ch, "two")
		c.take(c.consume(ch, false))
		require.NoError(c, ch.Ack(2, false))
		c.ready(ch)
	},
	"transaction": func(c *client) {
		ch := c.channel()
		require.NoError(c, ch.Tx())
		c.publish(ch, "lost")
		require.NoError(c, ch.TxRollback())
		c.publish(ch, "kept")
		require.NoError(c, ch.TxCommit())
		c.ready(ch)
	},
	"automatic acknowledgement": func(c *client) {
		ch := c.channel()
		m := c.consume(ch, true)
		c.publish(ch, "a")
		c.take(m)
		c.ready(ch)
	},
	"large": func(c *client) {
		ch := c.channel()
		m := c.consume(ch, false)
		require.NoError(c, ch.Confirm(false))
		for _, n := range []int{0, 1, 131063, 131064, 131065, 3 << 20} {
			k, err := ch.PublishWithDeferredConfirm("", c.queue, false, false, amqp091.Publishing{
				Body: bytes.Repeat([]byte{'x'}, n), ContentType: "text/plain", Headers: amqp091.Table{"n": int64(n)},
			})
			require.NoError(c, err)
			d := c.take(m)
			c.note("headers %v type %s", d.Headers, d.ContentType)
			require.NoError(c, d.Ack(false))
			require.True(c, k.Wait())
		}
	},
	"channel error": func(c *client) {
		ch := c.channel()
		_, err := ch.QueueDeclare(c.queue, true, true, false, false, nil)
		c.note("%v", err)
		c.ready(c.channel())
	},
	"unknown delivery tag": func(c *client) {
		ch := c.channel()
		closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
		require.NoError(c, ch.Ack(7, false))
		c.note("%d", (<-closed).Code)
		c.ready(c.channel())
	},
	"connection error": func(c *client) {
		ch := c.channel()
		closed := c.conn.NotifyClose(make(chan *amqp091.Error, 1))
		c.consume(ch, false)
		_, err := ch.Consume(c.queue, "consumer", false, false, false, false, nil)
		c.note("%v", err)
		c.note("%v", <-closed)
	},
	"exclusive and server-named": func(c *client) {
		ch := c.channel()
		q, err := ch.QueueDeclare("", false, true, true, false, nil)
		require.NoError(c, err)
		c.note("named %v", strings.HasPrefix(q.Name, "amq.gen-"))
		m, err := ch.Consume(q.Name, "", false, true, false, false, nil)
		require.NoError(c, err)
		require.NoError(c, ch.Publish("", q.Name, false, false, amqp091.Publishing{Body: []byte("to me")}))
		d := <-m
		c.note("%q %d", d.Body, d.DeliveryTag)
	},
	"recover": func(c *client) {
		ch := c.channel()
		m := c.consume(ch, false)
		c.publish(ch, "again")
		c.take(m)
		require.NoError(c, ch.Recover(true)) //nolint:staticcheck // deprecated, but apps use it
		require.NoError(c, c.take(m).Ack(false))
		c.ready(ch)
	},
	"queue deleted under a consumer": func(c *client) {
		ch := c.channel()
		cancels := ch.NotifyCancel(make(chan string, 1))
		c.consume(ch, false)
		_, err := c.channel().QueueDelete(c.queue, false, false, false)
		require.NoError(c, err)
		c.note("cancelled %s", <-cancels)
	},
	"several channels and exchanges": func(c *client) {
		a, b := c.channel(), c.channel()
		require.NoError(c, a.ExchangeDeclare(c.queue+".x", "topic", false, true, false, false, nil))
		require.NoError(c, a.QueueBind(c.queue, "k.#", c.queue+".x", false, nil))
		m := c.consume(b, false)
		require.NoError(c, a.Publish(c.queue+".x", "k.1", false, false, amqp091.Publishing{Body: []byte("topic"), Priority: 3}))
		d := c.take(m)
		c.note("priority %d", d.Priority)
		require.NoError(c, d.Ack(false))
		require.NoError(c, a.Close())
		c.ready(b)
		require.NoError(c, b.QueueUnbind(c.queue, "k.#", c.queue+".x", nil))
	},
}

func TestPassThrough(t *testing.T) {
	g := startGate(t, "open")
	for name, do := range behaviours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			see := func(uri string) string {
				conn, err := amqp091.DialConfig(uri, amqp091.Config{Heartbeat: time.Second})
				require.NoError(t, err)
				defer func() { _ = conn.Close() }()
				c := &client{T: t, conn: conn, queue: queue(t, "pass")}
				c.note("channels %d frame %d heartbeat %s", conn.Config.ChannelMax, conn.Config.FrameSize, conn.Config.Heartbeat)
				do(c)
				return c.seen.String()
			}
			require.Equal(t, see(shared.uri), see(g.uri()))
		})
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	g := startGate(t, "open")
	_, err := amqp091.DialConfig(g.uri(), amqp091.Config{SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "nobody", Password: "x"}}})
	require.ErrorContains(t, err, "username or password not allowed")
}

// TestIdleConnection: heartbeats of the gate keep an idle connection, and a held one, alive.
func TestIdleConnection(t *testing.T) {
	t.Parallel()
	g := startGate(t, "open")
	conn, err := amqp091.DialConfig(g.uri(), amqp091.Config{Heartbeat: time.Second})
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	select {
	case err := <-conn.NotifyClose(make(chan *amqp091.Error, 1)):
		t.Fatal(err)
	case <-time.After(5 * time.Second):
	}
	require.Equal(t, 1, g.status().Connections)
}
