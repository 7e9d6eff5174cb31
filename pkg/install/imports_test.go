package install

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const dropIn = "/etc/containerd/conf.d/ms2m.toml"

// configs are containerd's as nodes have them, and what becomes of them.
var configs = map[string]struct{ before, after string }{
	"none": {"", "imports = ['" + dropIn + "'] # added by ms2m-descheduler\nversion = 3\n"},
	"without imports": {
		"# ours\nversion = 3\n\n[plugins.'io.containerd.cri.v1.runtime']\n  disable_apparmor = true\n",
		"imports = ['" + dropIn + "'] # added by ms2m-descheduler\n# ours\nversion = 3\n\n[plugins.'io.containerd.cri.v1.runtime']\n  disable_apparmor = true\n",
	},
	"with imports": {
		"version = 2\nimports = [\n  \"/etc/containerd/nvidia.toml\", # the GPUs\n]\n[grpc]\n",
		"version = 2\nimports = ['" + dropIn + "', \n  \"/etc/containerd/nvidia.toml\", # the GPUs\n]\n[grpc]\n",
	},
	"with empty imports":      {"imports=[]", "imports=['" + dropIn + "', ]"},
	"with a table of imports": {"version = 3\n[proxy_plugins]\n[proxy_plugins.imports]\ntype = 'x'\n", "imports = ['" + dropIn + "'] # added by ms2m-descheduler\nversion = 3\n[proxy_plugins]\n[proxy_plugins.imports]\ntype = 'x'\n"},
	"with imports in a table": {"version = 3\n[x]\nimports = ['a']\n", "imports = ['" + dropIn + "'] # added by ms2m-descheduler\nversion = 3\n[x]\nimports = ['a']\n"},
	"that imports the folder": {"imports = ['/etc/containerd/conf.d/*.toml']\n", "imports = ['/etc/containerd/conf.d/*.toml']\n"},
	"that imports a namesake": {"imports = ['ms2m.toml']\n", "imports = ['" + dropIn + "', 'ms2m.toml']\n"},
	"that imports the file":   {"imports = ['conf.d/ms2m.toml']\n", "imports = ['conf.d/ms2m.toml']\n"},
}

func TestImportIsAddedAndTakenBack(t *testing.T) {
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			after, err := addImport([]byte(c.before), "/etc/containerd", dropIn)
			require.NoError(t, err)
			require.Equal(t, c.after, string(after))
			again, err := addImport(after, "/etc/containerd", dropIn)
			require.NoError(t, err)
			require.Equal(t, string(after), string(again), "twice is once")
			back, err := removeImport(after, dropIn)
			require.NoError(t, err)
			require.Equal(t, c.before, string(back))
		})
	}
}

func TestConfigNotUnderstoodIsLeftAlone(t *testing.T) {
	for name, config := range map[string]string{
		"broken":                 "version = ",
		"imports no list":        "imports = 'x'\n",
		"imports after a nested": "x = [\n[1]]\nimports = ['a']\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := addImport([]byte(config), "/etc/containerd", dropIn)
			require.Error(t, err)
		})
	}
}

// Whatever the configuration: either it is refused, or only its imports differ, and it can be had back as it was.
func FuzzImports(f *testing.F) {
	for _, c := range configs {
		f.Add(c.before)
	}
	f.Add("\"imports\" = [ 'a' ]\n")
	f.Add("x = '''\nimports = [\n'''\n")
	f.Fuzz(func(t *testing.T, config string) {
		after, err := addImport([]byte(config), "/etc/containerd", dropIn)
		if err != nil || strings.Contains(config, dropIn) {
			return
		}
		back, err := removeImport(after, dropIn)
		require.NoError(t, err)
		if config != newConfig { // which stands for none
			require.Equal(t, config, string(back))
		}
	})
}
