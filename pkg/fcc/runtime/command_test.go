package runtime

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]command{
		// As containerd-shim-runc-v2 calls it.
		"--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid --no-new-keyring ID": {
			global: strings.Fields("--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup"),
			name:   "create", id: "ID",
			flags: map[string]string{"root": "/run/containerd/runc/k8s.io", "log": "/b/log.json", "log-format": "json", "systemd-cgroup": "", "bundle": "/b", "pid-file": "/b/init.pid", "no-new-keyring": ""},
		},
		"--root=/r --rootless=false start ID": {
			global: []string{"--root=/r", "--rootless=false"}, name: "start", id: "ID",
			flags: map[string]string{"root": "/r", "rootless": "false"},
		},
		"--root /r kill --all ID 9": {global: []string{"--root", "/r"}, name: "kill", id: "ID", flags: map[string]string{"root": "/r", "all": ""}},
		"--root /r checkpoint --image-path /i --work-path /w --leave-running ID": {
			global: []string{"--root", "/r"}, name: "checkpoint", id: "ID",
			flags: map[string]string{"root": "/r", "image-path": "/i", "work-path": "/w", "leave-running": ""},
		},
		"features":  {global: []string{}, name: "features", flags: map[string]string{}},
		"--version": {global: []string{"--version"}, flags: map[string]string{"version": ""}},
		"":          {global: []string{}, flags: map[string]string{}},
	} {
		require.Equal(t, want, parse(strings.Fields(line)), line)
	}
}

func TestForRestore(t *testing.T) {
	c := parse(strings.Fields("--root /r --log /l create --bundle /b --pid-file /p --console-socket /c --no-new-keyring ID"))
	args, err := c.forRestore("/b", "/i", "/w")
	require.NoError(t, err)
	require.Equal(t, "--root /r --log /l restore --detach --no-subreaper --bundle /b --image-path /i --work-path /w --pid-file /p --console-socket /c ID", strings.Join(args, " "))
	c = parse(strings.Fields("create --bundle /b --preserve-fds 2 ID"))
	_, err = c.forRestore("/b", "/i", "/w")
	require.ErrorContains(t, err, "--preserve-fds")
}
