//go:build integration

package clients

import (
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// startGate before a broker, and return the URI that leads through it.
func startGate(t *testing.T, binary, broker string) string {
	t.Helper()
	uri, err := url.Parse(broker)
	require.NoError(t, err)
	folder, listen := t.TempDir(), freeAddress(t)
	log, err := os.Create(filepath.Join(folder, "log"))
	require.NoError(t, err)
	cmd := exec.Command(binary, "serve", "--listen", listen, "--metrics", freeAddress(t), "--folder", folder, "--upstream", uri.Host)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive the test
	require.NoError(t, cmd.Start())
	require.NoError(t, log.Close())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("gate:\n%s", said)
		}
	})
	out, err := exec.Command(binary, "wait", "--address", listen).CombinedOutput()
	require.NoError(t, err, string(out))
	uri.Host = listen
	return uri.String()
}

// freeAddress on a loopback address from which nobody connects: no outgoing connection can take its port.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}
