//go:build integration

package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	product "ms2m.dev/ms2m-descheduler/pkg/gate"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

var (
	brokerURI  string
	logURI     string // of the log's user
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
	if brokerURI = os.Getenv("MS2M_TEST_AMQP"); brokerURI != "" {
		logURI = cmp.Or(os.Getenv("MS2M_TEST_AMQP_LOG"), brokerURI)
		return func(context.Context) error { return nil }, nil
	}
	b, err := rabbitmq.Start(ctx, rabbitmq.Options{})
	if err != nil {
		return nil, err
	}
	brokerURI, logURI = b.URI(rabbitmq.Admin), b.URI(rabbitmq.Log)
	return b.Stop, nil
}

// gateProcess is a running gate.
type gateProcess struct {
	*control.Client
	t      *testing.T
	folder string
	listen string
	start  string
	cmd    *exec.Cmd
}

// startGate in a folder of its own; start is open or closed.
func startGate(t *testing.T, start string) *gateProcess {
	t.Helper()
	g := &gateProcess{t: t, folder: t.TempDir(), listen: freeAddress(t), start: start}
	g.Client = control.NewUnixClient(filepath.Join(g.folder, product.SocketFile))
	t.Cleanup(g.kill)
	g.run()
	return g
}

func (g *gateProcess) run() {
	g.t.Helper()
	u, err := url.Parse(brokerURI)
	require.NoError(g.t, err)
	g.cmd = exec.Command(gateBinary, "serve", "--listen", g.listen, "--metrics", freeAddress(g.t), "--folder", g.folder, "--upstream", u.Host)
	g.cmd.Env = append(os.Environ(), "MS2M_START="+g.start, "MS2M_BROKER_URI="+logURI)
	log, err := os.OpenFile(filepath.Join(g.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(g.t, err)
	g.cmd.Stdout, g.cmd.Stderr = log, log
	require.NoError(g.t, g.cmd.Start())
	require.NoError(g.t, log.Close())
	out, err := exec.Command(gateBinary, "wait", "--address", g.listen, "--timeout", "10s").CombinedOutput()
	require.NoError(g.t, err, string(out))
	eventually(g.t, "control socket answers", func() bool {
		_, err := g.Status(context.Background())
		return err == nil
	})
}

// kill the process as a crash does.
func (g *gateProcess) kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
	if g.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(g.folder, "log"))
		g.t.Logf("gate %s (%s):\n%s", g.listen, g.start, log)
	}
}

// restart with the same folder.
func (g *gateProcess) restart() {
	g.t.Helper()
	g.kill()
	g.run()
}

func (g *gateProcess) status() control.Status {
	g.t.Helper()
	s, err := g.Status(context.Background())
	require.NoError(g.t, err)
	return s
}

func (g *gateProcess) awaitMode(m control.Mode) {
	g.t.Helper()
	eventually(g.t, "mode "+string(m), func() bool {
		s := g.status()
		require.Empty(g.t, s.Broken)
		return s.Mode == m
	})
}

// uri of the gate for an app.
func (g *gateProcess) uri() string {
	u, err := url.Parse(brokerURI)
	require.NoError(g.t, err)
	u.Host = g.listen
	return u.String()
}

// lastPort is below those that the kernel gives to outgoing connections, which could take a port that is free here.
var lastPort atomic.Int32

func freeAddress(t *testing.T) string {
	t.Helper()
	lastPort.CompareAndSwap(0, int32(20000+os.Getpid()%5000))
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", lastPort.Add(1))
		if ln, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, ln.Close())
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// eventually waits for a condition, at most 30 seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, 30*time.Second, 2*time.Millisecond, what)
}

// broker is a direct connection for producing and checking.
func broker(t *testing.T) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial(brokerURI)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	return ch
}

// queue that is deleted when the test ends.
func queue(t *testing.T, name string) string {
	t.Helper()
	ch := broker(t)
	name = fmt.Sprintf("%s.%d", name, time.Now().UnixNano())
	_, err := ch.QueueDeclare(name, true, false, false, false, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = ch.QueueDelete(name, false, false, false) })
	return name
}

// requireNoQueue checks that nothing was left behind.
func requireNoQueue(t *testing.T, name string) {
	t.Helper()
	eventually(t, "queue "+name+" is gone", func() bool {
		conn, err := amqp091.Dial(brokerURI)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		ch, err := conn.Channel()
		require.NoError(t, err)
		_, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err != nil
	})
}
