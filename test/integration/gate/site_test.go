//go:build integration

package gate

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

// site is a broker: the URIs of a user who may do everything, and of the log's user.
type site struct {
	uri, logURI string
	// tlsURI is that of the listener with TLS which gates use, with the files of tlsFolder; empty if they use none.
	tlsURI, tlsFolder string
}

func siteOf(b *rabbitmq.Broker) site {
	return site{uri: b.URI(rabbitmq.Admin), logURI: b.URI(rabbitmq.Log)}
}

// startBroker that only this test uses, and may stop.
func startBroker(t *testing.T) *rabbitmq.Broker {
	t.Helper()
	b, err := rabbitmq.Start(t.Context(), rabbitmq.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, b.Stop(ctx))
	})
	return b
}

func withHost(t *testing.T, uri, host string) string {
	u, err := url.Parse(uri)
	require.NoError(t, err)
	u.Host = host
	return u.String()
}

// broker is a direct connection for producing and checking.
func broker(t *testing.T) *amqp091.Channel { return shared.channel(t) }

func (at site) channel(t *testing.T) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(at.uri)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// queue that is deleted when the test ends.
func queue(t *testing.T, name string) string { return shared.queue(t, name) }

func (at site) queue(t *testing.T, name string) string {
	t.Helper()
	ch := at.channel(t)
	name = fmt.Sprintf("%s.%d", name, time.Now().UnixNano())
	_, err := ch.QueueDeclare(name, true, false, false, false, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = at.channel(t).QueueDelete(name, false, false, false) })
	return name
}

// requireNoQueue checks that nothing was left behind.
func (at site) requireNoQueue(t *testing.T, name string) {
	t.Helper()
	conn, err := amqp091.Dial(at.uri)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	eventually(t, "queue "+name+" is gone", func() bool {
		ch, err := conn.Channel()
		require.NoError(t, err)
		defer func() { _ = ch.Close() }()
		_, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err != nil
	})
}
