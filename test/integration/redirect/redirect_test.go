//go:build integration

package redirect

import (
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/fcc/runtime"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

// TestRedirect: who dials a broker by its IP gets to the gate, and through it to the broker. The gate itself, and whoever
// dials another port, goes where he wants.
func TestRedirect(t *testing.T) {
	for family, address := range families {
		t.Run(family, func(t *testing.T) {
			p := newPod(t)
			b, err := rabbitmq.Start(t.Context(), rabbitmq.Options{Address: address.broker})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, b.Stop(context.WithoutCancel(t.Context()))) })
			broker, err := url.Parse(b.URI(rabbitmq.App))
			require.NoError(t, err)
			p.prepare(broker.Port())
			p.prepare(broker.Port()) // containerd may do it again
			t.Setenv("MS2M_BROKER_URI", b.URI(rabbitmq.Log))
			p.startGate()

			for name, uid := range map[string]int{"app": appUID, "root": 0} {
				t.Run(name, func(t *testing.T) { requireThroughGate(t, p, b.URI(rabbitmq.App), uid) })
			}
			t.Run("gate", func(t *testing.T) {
				conn := connectAs(t, p, b.URI(rabbitmq.App), runtime.GateUID)
				defer func() { _ = conn.Close() }()
				require.Zero(t, p.status().Connections)
				require.Equal(t, broker.Host, conn.RemoteAddr().String())
			})
			t.Run("other ports", func(t *testing.T) { requireDirect(t, p, address.pod, address.broker) })
			t.Run("nobody outside reaches the gate", func(t *testing.T) {
				_, err := net.DialTimeout("tcp", net.JoinHostPort(address.pod, "45672"), 5*time.Second)
				require.ErrorContains(t, err, "refused")
			})
		})
	}
}

// connectAs a user of the pod to a broker.
func connectAs(t *testing.T, p *pod, uri string, uid int) *amqp091.Connection {
	t.Helper()
	conn, err := amqp091.DialConfig(uri, amqp091.Config{
		Dial: func(_, address string) (net.Conn, error) { return p.dial(uid, address) },
	})
	require.NoError(t, err)
	return conn
}

// requireThroughGate: the gate sees the session, and can hold it.
func requireThroughGate(t *testing.T, p *pod, uri string, uid int) {
	conn := connectAs(t, p, uri, uid)
	defer func() {
		require.NoError(t, conn.Close())
		require.Eventually(t, func() bool { return p.status().Connections == 0 }, 10*time.Second, time.Millisecond)
	}()
	require.Equal(t, 1, p.status().Connections)
	ch, err := conn.Channel()
	require.NoError(t, err)
	q, err := ch.QueueDeclare("redirect", true, false, false, false, nil)
	require.NoError(t, err)
	messages, err := ch.Consume(q.Name, "", false, false, false, false, nil)
	require.NoError(t, err)
	require.NoError(t, ch.PublishWithContext(t.Context(), "", q.Name, true, false, amqp091.Publishing{Body: []byte("m")}))
	require.NoError(t, (<-messages).Ack(false))
	require.Equal(t, 1, p.status().Consumers)
	hold := control.HoldRequest{Command: control.Command{Migration: t.Name()}, DrainMillis: 10000, ValidMillis: 10000, Log: "ms2m.replay.redirect"}
	_, err = p.gate.Hold(t.Context(), hold)
	require.NoError(t, err, "also the socket that the app has not read is found by its address")
	require.NoError(t, p.gate.Resume(t.Context(), control.Command{Migration: t.Name(), Epoch: 1}))
}

// requireDirect: a connection to another port arrives from the pod's own address.
func requireDirect(t *testing.T, p *pod, from, to string) {
	ln, err := net.Listen("tcp", net.JoinHostPort(to, "0"))
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	conn, err := p.dial(appUID, ln.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	accepted, err := ln.Accept()
	require.NoError(t, err)
	defer func() { _ = accepted.Close() }()
	peer, err := netip.ParseAddrPort(accepted.RemoteAddr().String())
	require.NoError(t, err)
	require.Equal(t, from, peer.Addr().String())
	_, err = conn.Write([]byte("unchanged"))
	require.NoError(t, err)
	got := make([]byte, 9)
	_, err = io.ReadFull(accepted, got)
	require.NoError(t, err)
	require.Equal(t, "unchanged", string(got))
}
