//go:build integration

package ledgers

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/broker"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

// sending is a message to a ledger.
type sending struct {
	producer string
	sequence uint64
	resent   bool
	// body in place of the message's.
	body string
}

// redelivered come to the ledger with the broker's flag, the others without.
var (
	redelivered = []sending{
		{producer: "p", sequence: 1},
		{producer: "p", sequence: 1},
		{producer: "p", sequence: 2},
		{producer: "p", sequence: 1, resent: true},
		{producer: "p", sequence: 5},
		{producer: "p", sequence: 4},
	}
	others = []sending{
		{producer: "p", sequence: 4},               // a duplicate
		{producer: "p", sequence: 5, resent: true}, // an excused one
		{producer: "q", sequence: 1},
		{producer: "p", sequence: 3, resent: true}, // the last that was missing
		{producer: "ü ✓", sequence: 9},
		{producer: "ü ✓", sequence: 4}, // splits what is missing
		{producer: "ü ✓", sequence: 1}, // from its beginning
		{producer: "ü ✓", sequence: 8}, // from its end
		{producer: "q", sequence: 2},
		{body: `{"sequence": 1}`},
		{body: `{"producer": "p"}`},
		{body: `{"producer": "p", "sequence": "7"}`},
		{body: `["p", 1]`},
		{body: `null`},
		{body: `nonsense`},
		{body: ``},
		{producer: "q", sequence: 3},
	}
)

// TestRules: every ledger comes to the state that Go's state machine says, and publishes the outputs that it says.
func TestRules(t *testing.T) {
	for _, a := range apps {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			queues := queuesOf(t, a)
			ch := openChannel(t)
			require.NoError(t, queues.Declare(ch))
			want := chain.NewLedger("", time.Time{})
			var outputs []chain.Output
			for _, s := range redelivered {
				outputs = append(outputs, send(t, ch, queues, want, s, true)...)
			}
			flagRedelivered(t, queues, len(redelivered))
			for _, s := range others {
				outputs = append(outputs, send(t, ch, queues, want, s, false)...)
			}
			require.NoError(t, wire.Publish(t.Context(), ch, queues.In, wire.NewFence("the end")))

			l := startApp(t, a)
			instance, err := l.state(t.Context())
			require.NoError(t, err)
			requireOutputs(t, ch, queues, outputs, instance.Instance)
			requireState(t, l, want.State())
		})
	}
}

// send a message, let the state machine apply it, and return its output, if there is one.
func send(t *testing.T, ch *amqp.Channel, queues wire.Queues, l *chain.Ledger, s sending, redelivered bool) []chain.Output {
	t.Helper()
	message := chain.Message{Producer: s.producer, Sequence: s.sequence}
	p := wire.NewPublishing(message.ID(), message.Body(), time.Now())
	if s.resent {
		p = wire.Resent(p)
	}
	if s.producer == "" {
		p.Body = []byte(s.body)
	}
	require.NoError(t, wire.Publish(t.Context(), ch, queues.In, p))
	if s.producer == "" {
		l.Malformed(errors.New("in words of each language"))
		return nil
	}
	output, applied := l.Apply(chain.Arrival{
		Message: message, Digest: wire.Sent(queues.In, p).Digest(), Redelivered: redelivered, Resent: s.resent,
	})
	if !applied {
		return nil
	}
	return []chain.Output{output}
}

// flagRedelivered takes the messages from the queue and gives them back.
func flagRedelivered(t *testing.T, queues wire.Queues, messages int) {
	t.Helper()
	ch := openChannel(t)
	deliveries, err := ch.Consume(queues.In, "", false, false, false, false, nil)
	require.NoError(t, err)
	for range messages {
		<-deliveries
	}
	require.NoError(t, ch.Close())
}

func requireOutputs(t *testing.T, ch *amqp.Channel, queues wire.Queues, want []chain.Output, instance string) {
	t.Helper()
	deliveries, err := ch.Consume(queues.Out, "", true, false, false, false, nil)
	require.NoError(t, err)
	for _, w := range want {
		d := receive(t, deliveries)
		var got chain.Output
		require.NoError(t, json.Unmarshal(d.Body, &got), string(d.Body))
		w.Instance = instance
		require.Equal(t, w, got)
		require.Equal(t, w.ID(), d.MessageId)
		require.Equal(t, "application/json", d.ContentType)
		require.WithinDuration(t, time.Now(), d.Timestamp, time.Hour)
		require.Equal(t, amqp.Persistent, d.DeliveryMode)
		require.False(t, wire.IsResent(d))
	}
	end := receive(t, deliveries)
	require.True(t, wire.IsFence(end), string(end.Body))
	require.Equal(t, "the end", end.MessageId)
	require.Empty(t, end.Body)
}

func receive(t *testing.T, deliveries <-chan amqp.Delivery) amqp.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case d := <-deliveries:
		return d
	case <-ctx.Done():
		require.FailNow(t, "an output is missing")
		return amqp.Delivery{}
	}
}

// requireState compares all but what each ledger draws by itself, and the words for what is malformed.
func requireState(t *testing.T, l *app, want chain.State) {
	t.Helper()
	got, err := l.state(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, got.Instance)
	require.WithinDuration(t, time.Now(), got.Started, time.Hour)
	memory := chain.ExpectedMemory(mebibytes)
	want.Instance, want.Started, want.Memory = got.Instance, got.Started, &memory
	for _, s := range []*chain.State{&got, &want} {
		require.Len(t, s.Violations.Details, len(want.Violations.Details))
		for i, detail := range s.Violations.Details {
			if len(detail) > len("malformed") && detail[:len("malformed")] == "malformed" {
				s.Violations.Details[i] = "malformed"
			}
		}
		for name, p := range s.Producers {
			if len(p.Missing) == 0 {
				p.Missing = nil
				s.Producers[name] = p
			}
		}
	}
	require.Equal(t, want, got)
}

func openChannel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(rabbitmq.URI(broker.App))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // the broker may have gone
	ch, err := conn.Channel()
	require.NoError(t, err)
	require.NoError(t, ch.Confirm(false))
	return ch
}
