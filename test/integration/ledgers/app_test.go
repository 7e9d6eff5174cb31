//go:build integration

package ledgers

import (
	"context"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/broker"
	"ms2m.dev/ms2m-descheduler/test/cluster/build"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/consumer"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

// mebibytes of ballast.
const mebibytes = 2

var apps = []deploy.App{deploy.Go, deploy.Python, deploy.Java, deploy.Node}

// app is a ledger that runs.
type app struct {
	queues wire.Queues
	base   string
}

// startApp starts a ledger with queues of its own, which runs until the test ends.
func startApp(t *testing.T, a deploy.App) *app {
	t.Helper()
	listen := freeAddress(t)
	running := &app{queues: queuesOf(t, a), base: "http://" + listen}
	if a.Name == deploy.Go.Name {
		runGo(t, running, listen)
	} else {
		runContainer(t, append(a.Command(mebibytes), "consume",
			"--broker="+rabbitmq.URI(broker.App), "--in="+running.queues.In, "--out="+running.queues.Out,
			"--memory="+strconv.Itoa(mebibytes), "--service=1ms", "--listen="+listen))
	}
	require.Eventually(t, func() bool {
		_, err := running.state(t.Context())
		return err == nil
	}, time.Minute, 50*time.Millisecond, "the ledger in %s does not serve its state", a.Name)
	return running
}

func queuesOf(t *testing.T, a deploy.App) wire.Queues {
	name := strings.ToLower(t.Name() + "." + a.Name)
	return wire.Queues{In: name + ".in", Out: name + ".out", Type: "classic"}
}

func runGo(t *testing.T, a *app, listen string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := consumer.New(consumer.Options{
		Broker: rabbitmq.URI(broker.App), Queues: a.queues, Prefetch: 20, Service: time.Millisecond, Mebibytes: mebibytes,
	})
	done := make(chan error, 2)
	go func() { done <- c.Run(ctx) }()
	go func() { done <- c.Serve(ctx, listen) }()
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			require.ErrorIs(t, <-done, context.Canceled)
		}
	})
}

func runContainer(t *testing.T, argv []string) {
	t.Helper()
	// Without a context: it is asked to end below.
	cmd := build.Enter(context.Background(), root, "0", []build.Bind{{From: programs + "/opt", To: "/opt"}}, argv...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // Java's ends with another code
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func (a *app) state(ctx context.Context) (chain.State, error) {
	return judge.FetchState(ctx, a.base, true)
}
