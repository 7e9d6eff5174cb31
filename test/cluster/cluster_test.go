package cluster

import (
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"ms2m.dev/ms2m-descheduler/test/cluster/node"
)

func TestKubeletAdmitsNobodyUnknown(t *testing.T) {
	files, err := render(nodeAt(2))
	require.NoError(t, err)
	var kubelet struct {
		Authentication struct {
			Anonymous, Webhook struct{ Enabled bool }
			X509               struct{ ClientCAFile string }
		}
		Authorization struct{ Mode string }
		ClusterDNS    []string
	}
	require.NoError(t, yaml.Unmarshal(files["etc/kubernetes/kubelet.yaml"], &kubelet))
	require.False(t, kubelet.Authentication.Anonymous.Enabled)
	require.True(t, kubelet.Authentication.Webhook.Enabled)
	require.NotEmpty(t, kubelet.Authentication.X509.ClientCAFile)
	require.Equal(t, "Webhook", kubelet.Authorization.Mode)
	require.Equal(t, []string{clusterDNS}, kubelet.ClusterDNS)
}

func TestNodesHaveSubnetsOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for i := 1; i <= MaxNodes; i++ {
		files, err := render(nodeAt(i))
		require.NoError(t, err)
		var cni struct {
			Plugins []struct {
				IPAM struct{ Ranges [][]struct{ Subnet string } }
			}
		}
		require.NoError(t, json.Unmarshal(files["etc/cni/net.d/10-bridge.conflist"], &cni))
		subnet := cni.Plugins[0].IPAM.Ranges[0][0].Subnet
		require.Equal(t, nodeAt(i).podSubnet(), subnet)
		require.False(t, seen[subnet])
		seen[subnet] = true
		require.NotContains(t, string(files["etc/containerd/config.toml"]), "ms2m-runc", "the product installs its handler")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, nodes := range []int{-1, MaxNodes + 1} {
		o := Options{Nodes: nodes}
		require.ErrorContains(t, o.complete(), "1 to 4")
	}
	var o Options
	require.NoError(t, o.complete())
	require.Equal(t, 2, o.Nodes)
	require.FileExists(t, o.Root+"/go.mod")
	require.Equal(t, o.Root+"/.cluster", o.Dir)
}

func TestParseHierarchies(t *testing.T) {
	version1 := `25 1 254:0 / / rw - ext4 /dev/vda rw
30 29 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	require.Equal(t, []node.Cgroup{
		{Path: "/sys/fs/cgroup/cpu,cpuacct", Name: "cpu,cpuacct", Options: "cpu,cpuacct"},
		{Path: "/sys/fs/cgroup/systemd", Name: "systemd", Options: "none,name=systemd"},
	}, parseHierarchies(version1))

	version2 := "30 29 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	require.Equal(t, []node.Cgroup{{Path: "/sys/fs/cgroup"}}, parseHierarchies(version2))
}

func TestParseStat(t *testing.T) {
	state, start, err := parseStat("42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 99 1")
	require.NoError(t, err)
	require.Equal(t, "S", state)
	require.EqualValues(t, 123456, start)
	_, _, err = parseStat("42 (x) S 1")
	require.Error(t, err)
}

func TestProcessIsNotTakenForAnotherWithItsPID(t *testing.T) {
	_, start, err := processStat(os.Getpid())
	require.NoError(t, err)
	require.True(t, process{PID: os.Getpid(), Start: start}.alive())
	require.False(t, process{PID: os.Getpid(), Start: start + 1}.alive())

	cmd := exec.Command("sleep", "inf")
	require.NoError(t, cmd.Start())
	_, start, err = processStat(cmd.Process.Pid)
	require.NoError(t, err)
	p := process{PID: cmd.Process.Pid, Start: start}
	require.NoError(t, process{PID: p.PID, Start: start + 1}.kill(syscall.SIGKILL), "not ours: left alone")
	require.True(t, p.alive())
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.False(t, p.alive())
}

func TestStateSurvives(t *testing.T) {
	c := &Cluster{dir: t.TempDir()}
	require.NoError(t, c.update(func(s *state) { s.Nodes = append(s.Nodes, nodeAt(1)) }))
	require.NoError(t, c.update(func(s *state) { s.Sysctls = map[string]string{"a": "0"} }))
	s, err := c.load()
	require.NoError(t, err)
	require.Equal(t, []Node{{Name: "node1", Index: 1}}, s.Nodes)
	require.Equal(t, map[string]string{"a": "0"}, s.Sysctls)
	_, err = Attach(c.dir)
	require.ErrorContains(t, err, "none is up")
}

func TestIdentitiesAreThoseKubernetesKnows(t *testing.T) {
	c := &Cluster{dir: t.TempDir()}
	require.NoError(t, os.MkdirAll(c.pki(""), 0o755))
	require.NoError(t, c.makePKI())
	require.NoError(t, c.issueNode("node1"))
	config, err := c.RESTConfig()
	require.NoError(t, err)
	require.Equal(t, "https://"+apiServer, config.Host)
	require.Equal(t, []string{"system:masters"}, identities()["admin"].Organizations)
	require.FileExists(t, c.pki("node1.kubeconfig"))
	info, err := os.Stat(c.pki("ca.key"))
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
}
