//go:build integration

package clients

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/broker"
	"ms2m.dev/ms2m-descheduler/test/clients"
	"ms2m.dev/ms2m-descheduler/test/cluster"
	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// timeout of what the programs do; a healthy run takes a small part of it.
const timeout = 5 * time.Minute

// TestClients runs all cases with all libraries at once, each direct and through a gate of its own.
func TestClients(t *testing.T) {
	cases, err := clients.Cases()
	require.NoError(t, err)
	root, err := cluster.ProjectRoot()
	require.NoError(t, err)
	programs, err := clients.Build(t.Context(), root, t.TempDir())
	require.NoError(t, err)
	gate := filepath.Join(t.TempDir(), "ms2m-gate")
	require.NoError(t, build.GoBuild(t.Context(), root, "./cmd/ms2m-gate", gate))
	b, err := broker.Start(t.Context(), broker.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop(context.Background())) })

	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	direct, through := map[string]results{}, map[string]results{}
	uri := b.URI(broker.App)
	all := newMeeting(2*len(programs), func(what string) error { return alarm(ctx, b, what) })
	var running sync.WaitGroup
	var mu sync.Mutex
	start := func(p *clients.Program, way, uri string, into map[string]results) {
		running.Go(func() {
			defer all.leave()
			found, err := p.Run(ctx, p.Short+"-"+way, uri, cases, all.ask)
			mu.Lock()
			defer mu.Unlock()
			into[p.Name] = results{found, err}
		})
	}
	for _, p := range programs {
		start(p, "direct", uri, direct)
		start(p, "gate", startGate(t, gate, uri), through)
	}
	running.Wait()
	for _, p := range programs {
		t.Run(p.Name, func(t *testing.T) { judge(t, cases, direct[p.Name], through[p.Name]) })
	}
}

// results of a program, by the cases' names.
type results struct {
	cases map[string][]clients.Result
	err   error
}

func judge(t *testing.T, cases []clients.Case, direct, through results) {
	require.NoError(t, direct.err, "direct")
	require.NoError(t, through.err, "through the gate")
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, c.Judge(direct.cases[c.Name], through.cases[c.Name]))
		})
	}
}

func alarm(ctx context.Context, b *broker.Broker, what string) error {
	if what == "alarm" {
		return b.RaiseAlarm(ctx)
	}
	return b.ClearAlarm(ctx)
}
