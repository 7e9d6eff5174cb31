//go:build integration

package gate

import (
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	product "ms2m.dev/ms2m-descheduler/pkg/gate"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// gateProcess is a running gate.
type gateProcess struct {
	*control.Client
	t      *testing.T
	at     site
	folder string
	listen string
	// metrics is the address at which they are served.
	metrics string
	start   string
	args    []string
	cmd     *exec.Cmd
	// app and log are the ways to the broker of the app's connections and of the log's.
	app, log *cable
}

// startGate in a folder of its own; start is open or closed.
func startGate(t *testing.T, start string) *gateProcess { return shared.startGate(t, start) }

func (at site) startGate(t *testing.T, start string, args ...string) *gateProcess {
	t.Helper()
	g := &gateProcess{
		t: t, at: at, folder: t.TempDir(), listen: freeAddress(t), metrics: freeAddress(t), start: start, args: args,
		app: newCable(t, cmp.Or(at.tlsURI, at.uri)), log: newCable(t, at.logURI),
	}
	g.Client = control.NewUnixClient(filepath.Join(g.folder, product.SocketFile))
	t.Cleanup(g.kill)
	g.run()
	return g
}

func (g *gateProcess) run() {
	g.t.Helper()
	args := []string{"serve", "--listen", g.listen, "--metrics", g.metrics, "--folder", g.folder, "--upstream", g.app.address}
	if g.at.tlsFolder != "" {
		_, port, err := net.SplitHostPort(g.app.address)
		require.NoError(g.t, err)
		args = append(args, "--tls", g.at.tlsFolder, "--tls-port", port)
	}
	g.cmd = exec.Command(gateBinary, append(args, g.args...)...)
	g.cmd.Env = append(os.Environ(), "MS2M_START="+g.start, "MS2M_BROKER_URI="+withHost(g.t, g.at.logURI, g.log.address))
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive the tests
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
func (g *gateProcess) uri() string { return withHost(g.t, g.at.uri, g.listen) }
