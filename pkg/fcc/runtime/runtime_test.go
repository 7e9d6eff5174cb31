package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

const pod = "11111111-2222-3333-4444-555555555555"

// TestMain lets the test's binary be the wrapper, which replaces its process.
func TestMain(m *testing.M) {
	if os.Getenv("BE_MS2M_RUNC") != "" {
		os.Exit(Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// node has a root folder and a recorder in runc's place: it writes down its calls and fails those named in the file fail.
type node struct {
	dir     string
	tickets *fcc.Store
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{dir: t.TempDir()}
	n.tickets = fcc.NewStore(n.path("root"))
	recorder := fmt.Sprintf(`#!/bin/sh
while [ "${1#-}" != "$1" ]; do case "$1" in --root|--log|--log-format) shift;; esac; shift; done
echo "$1" >> %[1]s/calls
if [ "$1" = restore ]; then
	while [ $# -gt 0 ]; do [ "$1" = --work-path ] && mkdir -p "$2" && echo '(00.1) Error (criu/x.c:1): Unsupported proto 262' > "$2/restore.log"; shift; done
	set restore
fi
[ "$(cat %[1]s/fail 2>/dev/null)" != "$1" ]
`, n.dir)
	require.NoError(t, os.WriteFile(n.path("runc"), []byte(recorder), 0o700)) //nolint:gosec // a program
	config, err := json.Marshal(Config{Runc: n.path("runc"), Root: n.path("root")})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(n.path("config"), config, 0o600))
	require.NoError(t, os.MkdirAll(n.path("state/id"), 0o700))
	return n
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// runc calls the wrapper and returns runc's calls by it and the last error in the log.
func (n *node) runc(t *testing.T, args string) (calls, failure string) {
	t.Helper()
	_ = os.Remove(n.path("calls"))
	_ = os.Remove(n.path("log.json"))
	all := append([]string{"--root", n.path("state"), "--log", n.path("log.json"), "--log-format", "json"}, strings.Fields(args)...)
	cmd := exec.Command(os.Args[0], all...) //nolint:gosec // this test
	cmd.Env = append(os.Environ(), "BE_MS2M_RUNC=1", configEnv+"="+n.path("config"))
	err := cmd.Run()
	var exit *exec.ExitError
	require.True(t, err == nil || errors.As(err, &exit), "%v", err)
	b, _ := os.ReadFile(n.path("calls"))
	return strings.Join(strings.Fields(string(b)), " "), lastError(n.path("log.json"))
}

// create a container of the pod; the annotation names what is to be restored.
func (n *node) create(t *testing.T, annotation string) (calls, failure string) {
	t.Helper()
	dir := bundle(t, fmt.Sprintf(`{"root":{"path":"rootfs"},"annotations":{"io.kubernetes.cri.container-type":"container",
		"io.kubernetes.cri.container-name":"app","io.kubernetes.cri.sandbox-uid":%q,"ms2m.dev/restore":%q}}`, pod, annotation))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "rootfs"), 0o755)) //nolint:gosec // a root file system
	return n.runc(t, "create --bundle "+dir+" --pid-file "+n.path("pid")+" id")
}

// ready gives the container a ready ticket.
func (n *node) ready(t *testing.T) {
	t.Helper()
	_, err := n.tickets.Put("migration", pod, "app")
	require.NoError(t, err)
	partial := filepath.Join(n.tickets.Folder(pod, "app"), "partial-1")
	require.NoError(t, os.MkdirAll(filepath.Join(partial, "checkpoint"), 0o700))
	_, err = n.tickets.Ready("migration", pod, "app", partial, "sha256:1", 1)
	require.NoError(t, err)
}

func (n *node) state(t *testing.T) fcc.Ticket {
	t.Helper()
	ticket, err := n.tickets.Get(pod, "app")
	require.NoError(t, err)
	return ticket
}

func TestContainerWithoutTicketIsRuncs(t *testing.T) {
	n := newNode(t)
	calls, failure := n.create(t, "")
	require.Empty(t, failure)
	require.Equal(t, "create", calls)
	for _, args := range []string{"start id", "state id", "kill id 9", "delete --force id"} {
		calls, failure := n.runc(t, args)
		require.Empty(t, failure)
		require.Equal(t, strings.Fields(args)[0], calls)
	}
}

func TestContainerIsRestoredOnce(t *testing.T) {
	n := newNode(t)
	n.ready(t)
	calls, failure := n.create(t, "other, app")
	require.Empty(t, failure)
	require.Equal(t, "restore pause", calls)
	require.Equal(t, fcc.TicketRestored, n.state(t).State)
	calls, _ = n.runc(t, "start id")
	require.Equal(t, "resume", calls, "the start of a restored container resumes it")
	calls, _ = n.runc(t, "start id")
	require.Equal(t, "start", calls, "once")

	calls, failure = n.create(t, "app")
	require.Empty(t, calls, "a crash before the commit starts nothing")
	require.Contains(t, failure, "ended before the commit")
	require.Equal(t, fcc.TicketFailed, n.state(t).State)

	_, err := n.tickets.Commit(pod, "app")
	require.NoError(t, err)
	calls, failure = n.create(t, "app")
	require.Empty(t, failure)
	require.Equal(t, "create", calls, "a crash after the commit starts the image")
}

func TestTicketCountsWithoutAnnotation(t *testing.T) {
	n := newNode(t)
	n.ready(t)
	calls, _ := n.create(t, "")
	require.Equal(t, "restore pause", calls, "whoever removes the annotation does not get the image started")
}

func TestFailedRestoreStartsNothing(t *testing.T) {
	for step, want := range map[string]struct{ calls, reason string }{
		"restore": {"restore", "Unsupported proto 262"},
		"pause":   {"restore pause delete", "pausing restored container"},
	} {
		t.Run(step, func(t *testing.T) {
			n := newNode(t)
			n.ready(t)
			require.NoError(t, os.WriteFile(n.path("fail"), []byte(step), 0o600))
			calls, failure := n.create(t, "app")
			require.Equal(t, want.calls, calls)
			require.Contains(t, failure, want.reason)
			ticket := n.state(t)
			require.Equal(t, fcc.TicketFailed, ticket.State)
			require.Contains(t, ticket.Reason, want.reason)
			calls, failure = n.create(t, "app")
			require.Empty(t, calls)
			require.Contains(t, failure, want.reason, "the cause is shown again and again")
		})
	}
}

func TestFailedCheckpointTellsItsCauseFirst(t *testing.T) {
	n := newNode(t)
	require.NoError(t, os.WriteFile(n.path("fail"), []byte("checkpoint"), 0o600))
	work := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(work, "dump.log"), []byte("(00.1) Error (criu/x.c:1): something new\n"), 0o600))
	cmd := exec.Command(os.Args[0], "checkpoint", "--work-path", work, "id") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), "BE_MS2M_RUNC=1", configEnv+"="+n.path("config"))
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	first, _, _ := strings.Cut(string(out), "\n")
	require.Contains(t, first, "CRIU: something new")
}

func TestAppAsTheGatesUserIsRefused(t *testing.T) {
	n := newNode(t)
	for name, refused := range map[string]bool{"app": true, "ms2m-gate": false} {
		dir := bundle(t, fmt.Sprintf(`{"process":{"user":{"uid":65420}},"annotations":{"io.kubernetes.cri.container-type":"container",
			"io.kubernetes.cri.container-name":%q,"io.kubernetes.cri.sandbox-uid":%q}}`, name, pod))
		calls, failure := n.runc(t, "create --bundle "+dir+" id")
		if !refused {
			require.Empty(t, failure)
			continue
		}
		require.Empty(t, calls)
		require.Contains(t, failure, `container "app" runs as user 65420, which is the gate's: choose another with runAsUser`)
	}
}

func TestMissingRuncIsExplained(t *testing.T) {
	n := newNode(t)
	require.NoError(t, os.Remove(n.path("runc")))
	_, failure := n.runc(t, "state id")
	require.Contains(t, failure, configFile)
}
