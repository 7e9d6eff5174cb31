//go:build integration

package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

var (
	shared     site
	gateBinary string
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testing the gate:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	done, err := findBroker(ctx)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, done(context.WithoutCancel(ctx))) }()
	dir, err := os.MkdirTemp("", "ms2m-gate-test")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	gateBinary = filepath.Join(dir, "ms2m-gate")
	args := []string{"build", "-o", gateBinary}
	if os.Getenv("MS2M_TEST_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "ms2m.dev/ms2m-descheduler/cmd/ms2m-gate")...).CombinedOutput()
	if err != nil {
		return 1, fmt.Errorf("building gate: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// findBroker uses the broker that the environment names, else one of its own, with the cluster's users.
func findBroker(ctx context.Context) (done func(context.Context) error, err error) {
	if uri := os.Getenv("MS2M_TEST_AMQP"); uri != "" {
		shared = site{uri: uri, logURI: cmp.Or(os.Getenv("MS2M_TEST_AMQP_LOG"), uri)}
		return func(context.Context) error { return nil }, nil
	}
	b, err := rabbitmq.Start(ctx, rabbitmq.Options{})
	if err != nil {
		return nil, err
	}
	shared = siteOf(b)
	return b.Stop, nil
}

// lastPort is below those that the kernel gives to outgoing connections, which could take a port that is free here.
var lastPort atomic.Int32

// freeAddress on a loopback address that no other process uses: two runs on one machine would take each other's ports.
func freeAddress(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	host := net.IPv4(127, byte(64+pid>>16), byte(pid>>8), byte(pid))
	lastPort.CompareAndSwap(0, 20000)
	for range 1000 {
		address := net.JoinHostPort(host.String(), strconv.Itoa(int(lastPort.Add(1))))
		if ln, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, ln.Close())
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// patience is how long tests wait for what must come.
const patience = 30 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, patience, 2*time.Millisecond, what)
}
