//go:build integration

// Package system runs the product on a real cluster and breaks it. Every test ends with the same proof: the state that
// the messages demand, outputs published once, never two active instances, nothing left behind.
package system

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/system"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

// installed is the product that all tests share; each has a ledger of its own.
var installed *system.System

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, m)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) int {
	s, err := system.Up(ctx, 2, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the cluster:", err)
		return 1
	}
	// An interrupted run, too, takes its cluster away.
	finished := context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "interrupted:", s.Down(context.WithoutCancel(ctx)))
		os.Exit(130)
	})
	defer finished()
	installed = s
	code := m.Run()
	if err := s.Down(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "taking the cluster down:", err)
		return 1
	}
	return code
}

// load at the given rate, with the defaults of the demo.
func load(t *testing.T, rate float64) system.Load {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	if len(name) > 50 {
		name = name[:50]
	}
	return system.Load{
		Rate:   rate,
		Ledger: deploy.Options{Namespace: strings.Trim(name, "-"), Mebibytes: 64, Service: 5 * time.Millisecond, CPU: "100m"},
	}
}

// start a ledger that is judged to the last message, and taken away, when the test ends.
func start(t *testing.T, load system.Load) *system.Ledger {
	t.Helper()
	l, err := installed.StartLedger(t.Context(), load)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if !t.Failed() {
			requireExact(ctx, t, l)
		}
		require.NoError(t, l.Stop(ctx))
		if !t.Failed() {
			require.NoError(t, installed.Leftovers(ctx))
		}
	})
	return l
}

func requireExact(ctx context.Context, t *testing.T, l *system.Ledger) {
	t.Helper()
	v, err := l.Finish(ctx)
	require.NoError(t, err)
	require.True(t, v.Exact(), "%+v", v)
	require.NotZero(t, v.Processed)
	t.Logf("%d messages published, %d processed, none lost, doubled or reordered", v.Published, v.Processed)
}
