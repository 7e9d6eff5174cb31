package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bundle with the configuration.
func bundle(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
	return dir
}

func TestSpecKeepsWhatItDoesNotKnow(t *testing.T) {
	dir := bundle(t, `{"future":{"a":[1,{"b":null}]},"linux":{"resources":{"memory":{"limit":9223372036854775807}},"seccomp":{"flags":["X"]}},"process":{"cwd":"/"}}`)
	w := &wrapper{Config: Config{Root: t.TempDir()}}
	s, err := readSpec(dir)
	require.NoError(t, err)
	require.NoError(t, w.prepareContainer(s, "uid", "app"))
	var got map[string]any
	b, err := os.ReadFile(s.file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &got))
	require.Equal(t, map[string]any{"a": []any{1.0, map[string]any{"b": nil}}}, got["future"])
	require.Contains(t, string(b), "9223372036854775807")
	require.Contains(t, string(b), `"flags":["X"]`)
	require.Equal(t, filepath.Join(w.Root, "criu.conf"), s.annotation("org.criu.config"))
	require.FileExists(t, filepath.Join(w.Root, "criu.conf"))
	info, err := os.Stat(s.file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestDenyIOUring(t *testing.T) {
	denial := `{"action":"SCMP_ACT_ERRNO","errnoRet":38,"names":["io_uring_setup","io_uring_enter","io_uring_register"]}`
	for name, c := range map[string]struct{ before, after string }{
		"denying profile": {
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","io_uring_setup"],"action":"SCMP_ACT_ALLOW"}]}`,
			`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"},` + denial + `]}`,
		},
		"rule of io_uring alone": {
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["io_uring_enter"],"action":"SCMP_ACT_LOG"}]}`,
			`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[` + denial + `]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := readSpec(bundle(t, `{"linux":{"seccomp":`+c.before+`}}`))
			require.NoError(t, err)
			denyIOUring(s)
			b, err := json.Marshal(s.object("linux", "seccomp"))
			require.NoError(t, err)
			require.JSONEq(t, c.after, string(b))
		})
	}
	s, err := readSpec(bundle(t, `{}`))
	require.NoError(t, err)
	denyIOUring(s)
	profile := s.object("linux", "seccomp")
	require.Equal(t, "SCMP_ACT_ALLOW", profile["defaultAction"], "an unconfined container is denied nothing else")
	require.Len(t, profile["syscalls"], 1)
}

func TestGateFolderMustBeFree(t *testing.T) {
	s, err := readSpec(bundle(t, `{"mounts":[{"destination":"/run/ms2m","source":"/x"}]}`))
	require.NoError(t, err)
	err = (&wrapper{Config: Config{Root: t.TempDir()}}).mountGateFolder(s, "uid")
	require.ErrorContains(t, err, "remove that volume mount")
}

func TestBrokerPorts(t *testing.T) {
	ports, err := brokerPorts("")
	require.NoError(t, err)
	require.Equal(t, []uint16{5672, 5671}, ports)
	ports, err = brokerPorts("5672, 5673")
	require.NoError(t, err)
	require.Equal(t, []uint16{5672, 5673}, ports)
	for _, bad := range []string{"0", "x", "5672,", "70000", "-1", "45672"} {
		_, err := brokerPorts(bad)
		require.Error(t, err, bad)
	}
}

func TestSandboxOnTheNodesNetworkIsRefused(t *testing.T) {
	s, err := readSpec(bundle(t, `{"linux":{"namespaces":[{"type":"pid"}]}}`))
	require.NoError(t, err)
	require.ErrorContains(t, prepareSandbox(s), "hostNetwork")
}
