//go:build integration

package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
)

func run(t *testing.T, o Options) *Broker {
	t.Helper()
	b, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop(context.Background())) })
	return b
}

// open a channel and close its connection when the test ends.
func open(t *testing.T, uri string, config amqp091.Config) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.DialConfig(uri, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

func TestDataAndPortsSurvive(t *testing.T) {
	b := run(t, Options{})
	uri := b.URI(App)
	ch := open(t, uri, amqp091.Config{})
	_, err := ch.QueueDeclare("kept", true, false, false, false, nil)
	require.NoError(t, err)
	require.NoError(t, ch.Confirm(false))
	confirm, err := ch.PublishWithDeferredConfirm("", "kept", true, false, amqp091.Publishing{DeliveryMode: amqp091.Persistent})
	require.NoError(t, err)
	require.True(t, confirm.Wait())

	for name, end := range map[string]func(){"restarted": func() {}, "killed": b.Kill} {
		t.Run(name, func(t *testing.T) {
			end()
			require.NoError(t, b.Restart(t.Context()))
			require.Equal(t, uri, b.URI(App))
			q, err := open(t, uri, amqp091.Config{}).QueueDeclarePassive("kept", true, false, false, false, nil)
			require.NoError(t, err)
			require.Equal(t, 1, q.Messages)
		})
	}
}

func TestUsersHaveLeastPrivilege(t *testing.T) {
	b := run(t, Options{})
	for user, names := range map[string]struct{ may, mayNot string }{App: {"orders", "ms2m.log"}, Log: {"ms2m.log", "orders"}} {
		_, err := open(t, b.URI(user), amqp091.Config{}).QueueDeclare(names.may, false, true, false, false, nil)
		require.NoError(t, err)
		_, err = open(t, b.URI(user), amqp091.Config{}).QueueDeclare(names.mayNot, false, true, false, false, nil)
		require.ErrorContains(t, err, "ACCESS_REFUSED")
	}
}

func TestTLS(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			b := run(t, Options{TLS: true, Address: address})
			ca, uri := b.TLS()
			pool := x509.NewCertPool()
			require.True(t, pool.AppendCertsFromPEM(ca))
			open(t, uri, amqp091.Config{TLSClientConfig: &tls.Config{RootCAs: pool}})
			open(t, uri, amqp091.Config{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}})
			_, err := amqp091.DialConfig(uri, amqp091.Config{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}})
			require.ErrorContains(t, err, "unknown authority")
		})
	}
}

// TestFreeze: a frozen broker keeps its connections and answers later.
func TestFreeze(t *testing.T) {
	b := run(t, Options{})
	ch := open(t, b.URI(App), amqp091.Config{})
	require.NoError(t, b.Freeze())
	for _, pid := range b.process.members() {
		require.True(t, stopped(pid))
	}
	declared := make(chan error, 1)
	go func() {
		_, err := ch.QueueDeclare("late", false, true, false, false, nil)
		declared <- err
	}()
	require.NoError(t, b.Thaw())
	require.NoError(t, <-declared)
}

// TestAlarm: whoever publishes is blocked, until the alarm is over.
func TestAlarm(t *testing.T) {
	b := run(t, Options{})
	conn, err := amqp091.Dial(b.URI(App))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(time.Second)) })
	blocked := conn.NotifyBlocked(make(chan amqp091.Blocking, 2))
	ch, err := conn.Channel()
	require.NoError(t, err)
	require.NoError(t, b.RaiseAlarm(t.Context()))
	require.NoError(t, ch.Publish("", "nowhere", false, false, amqp091.Publishing{}))
	require.True(t, (<-blocked).Active)
	require.NoError(t, b.ClearAlarm(t.Context()))
	require.False(t, (<-blocked).Active)
}

// TestNothingIsLeft: with PID 1 all its processes end, and mounts never were the host's.
func TestNothingIsLeft(t *testing.T) {
	b := run(t, Options{})
	mounts, err := exec.Command("findmnt", "--noheadings", "--output", "TARGET").CombinedOutput()
	require.NoError(t, err, string(mounts))
	require.NotContains(t, string(mounts), b.root)
	require.Greater(t, len(b.process.members()), 2)
	b.Kill()
	for _, port := range []int{b.ports.amqp, b.ports.epmd} {
		ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: b.address.AsSlice(), Port: port})
		require.NoError(t, err)
		require.NoError(t, ln.Close())
	}
}
