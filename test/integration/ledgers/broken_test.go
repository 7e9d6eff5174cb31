//go:build integration

package ledgers

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/broker"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/producer"
)

// TestBrokenConnections: the broker crashes with messages on their way, and every ledger is exact.
func TestBrokenConnections(t *testing.T) {
	var fed []*feed
	for _, a := range apps {
		fed = append(fed, startFeed(t, startApp(t, a)))
	}
	for _, f := range fed {
		f.awaitMore(t, 20)
	}
	rabbitmq.Kill()
	require.NoError(t, rabbitmq.Restart(t.Context()))
	for i, f := range fed {
		f.awaitMore(t, 20)
		v := f.verdict(t)
		require.True(t, v.Exact(), "%s: %+v", apps[i].Name, v)
		t.Logf("%s: %d messages, sent again %d, redelivered %d, outputs sent again %d", apps[i].Name, v.Processed,
			v.ResentSkipped, v.RedeliveredSkipped, v.OutputsResent)
	}
}

// feed of a ledger, and its judge.
type feed struct {
	app       *app
	producers *producer.Group
	judge     *judge.Judge
}

func startFeed(t *testing.T, a *app) *feed {
	t.Helper()
	group, err := producer.New(producer.Options{
		Broker: rabbitmq.URI(broker.App), Queues: a.queues, Producers: 2, Rate: 40, Arrivals: producer.Constant,
	})
	require.NoError(t, err)
	f := &feed{app: a, producers: group, judge: judge.New(judge.Options{
		Broker: rabbitmq.URI(broker.App), Queues: a.queues, Accounts: group.Accounts, State: a.state,
	})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 2)
	go func() { done <- f.judge.Run(ctx) }()
	go func() { done <- f.producers.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			if err := <-done; !errors.Is(err, context.Canceled) {
				require.NoError(t, err)
			}
		}
	})
	return f
}

// awaitMore messages to be processed.
func (f *feed) awaitMore(t *testing.T, messages uint64) {
	t.Helper()
	var first uint64
	require.Eventually(t, func() bool {
		s, err := f.app.state(t.Context())
		if err == nil && first == 0 {
			first = s.Count
		}
		return err == nil && first > 0 && s.Count >= first+messages
	}, time.Minute, 50*time.Millisecond, "the ledger goes on at no pace")
}

// verdict to the last message.
func (f *feed) verdict(t *testing.T) judge.Verdict {
	t.Helper()
	f.producers.Stop()
	require.Eventually(t, func() bool {
		for _, a := range f.producers.Accounts() {
			if !a.Complete {
				return false
			}
		}
		return true
	}, time.Minute, 50*time.Millisecond, "the producers' last messages are not confirmed")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := f.judge.Verdict(ctx)
	require.NoError(t, err)
	return v
}
