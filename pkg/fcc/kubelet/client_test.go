package kubelet

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kubelet serves answers, and returns a client that trusts it.
func kubelet(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	pin := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kubelet.crt"), pin, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("secret\n"), 0o600))
	c := New("127.0.0.1", filepath.Join(dir, "token"), filepath.Join(dir, "kubelet.crt"))
	c.base = server.URL
	return c
}

func TestCheckpoint(t *testing.T) {
	c := kubelet(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/checkpoint/ns/pod/app" || r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "unexpected request", http.StatusTeapot)
			return
		}
		_, _ = w.Write([]byte(`{"items":["/var/lib/kubelet/checkpoints/x.tar"]}`))
	})
	path, err := c.Checkpoint(t.Context(), "ns", "pod", "app")
	require.NoError(t, err)
	require.Equal(t, "/var/lib/kubelet/checkpoints/x.tar", path)
}

func TestRefusalsAreExplained(t *testing.T) {
	for name, c := range map[string]struct {
		code       int
		body, says string
	}{
		"unauthenticated": {401, "Unauthorized", "authentication.webhook"},
		"forbidden":       {403, "Forbidden (user=x, verb=create, resource=nodes, subresource(s)=[checkpoint])", "grant"},
		"no such pod":     {404, "pod does not exist", "pod does not exist"},
		"no such call":    {404, "404 page not found", "ContainerCheckpoint"},
		"old runtime":     {500, "checkpointing of ns/pod/app failed (rpc error: code = Unimplemented desc = x)", "containerd 2.0"},
		"CRIU's cause":    {500, "checkpointing failed (exit status 1: CRIU: Unsupported proto 262)", "Unsupported proto 262"},
	} {
		t.Run(name, func(t *testing.T) {
			k := kubelet(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, c.body, c.code) })
			_, err := k.Checkpoint(t.Context(), "ns", "pod", "app")
			var refused *Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.code, refused.Code)
			require.Contains(t, refused.Message, c.says)
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, name == "no such pod", k.Check(t.Context()) == nil)
		})
	}
}

func TestAnotherCertificateIsRefused(t *testing.T) {
	asked := false
	c := kubelet(t, func(http.ResponseWriter, *http.Request) { asked = true })
	imposter := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	imposter.StartTLS()
	t.Cleanup(imposter.Close)
	// Same issuer, same name, one bit different.
	pin := bytes.Clone(imposter.Certificate().Raw)
	pin[len(pin)-1] ^= 1
	file := filepath.Join(t.TempDir(), "kubelet.crt")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pin}), 0o600))
	c = New("127.0.0.1", c.tokenFile, file)
	c.base = imposter.URL
	_, err := c.Checkpoint(t.Context(), "ns", "pod", "app")
	require.ErrorContains(t, err, "another certificate")
	require.False(t, asked, "the token must not reach an imposter")
	require.False(t, strings.Contains(err.Error(), "secret"))
}
