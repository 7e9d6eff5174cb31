package kubectl

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// run the tool without a cluster.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	var out bytes.Buffer
	cmd := New(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

const underLoad = `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
profiles:
- name: load
  pluginConfig:
  - name: MigrateUnderLoad
    args:
      thresholds: {cpu: 80}
  - name: MigrateFromDrainedNodes
    args: {taints: [maintenance]}
  plugins:
    deschedule: {enabled: [MigrateFromDrainedNodes]}
    balance: {enabled: [MigrateUnderLoad]}
`

const migrationPolicy = "apiVersion: ms2m.dev/v1alpha1\nkind: MigrationPolicy\ncooldown: 1m\n"

func TestPolicyValidate(t *testing.T) {
	for name, c := range map[string]struct{ text, problem string }{
		"DeschedulerPolicy": {text: underLoad},
		"MigrationPolicy":   {text: migrationPolicy},
		"ConfigMap":         {text: "apiVersion: v1\nkind: ConfigMap\ndata:\n  migration.yaml: |\n    apiVersion: ms2m.dev/v1alpha1\n    kind: MigrationPolicy\n  descheduler.yaml: |\n    apiVersion: descheduler/v1alpha2\n    kind: DeschedulerPolicy\n"},
		"unknown field":     {underLoad + "profilez: []\n", "policy.yaml: descheduler.yaml:14: profilez: unknown field"},
		"bad arguments": {"apiVersion: descheduler/v1alpha2\nkind: DeschedulerPolicy\nprofiles:\n- name: x\n  pluginConfig:\n  - name: MigrateUnderLoad\n    args: {thresholds: {cpu: 120}}\n",
			"policy.yaml: descheduler.yaml:7: profiles[0].pluginConfig[0].args: thresholds: cpu is 120, must be more than 0 and at most 100"},
		"every problem":    {migrationPolicy + "maxPause: 0s\ninterval: 1ms\n", "migration.yaml:4: maxPause: is 0s, must be positive\nPOLICY: migration.yaml:5: interval: is 1ms, must be at least 1s"},
		"no policy at all": {"kind: Pod\n", `policy.yaml: has kind "Pod", must be ConfigMap, DeschedulerPolicy or MigrationPolicy`},
		"no YAML":          {"kind: [\n", "policy.yaml: is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "policy.yaml")
			require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
			out, err := run(t, "policy", "validate", file)
			if c.problem == "" {
				require.NoError(t, err)
				require.Equal(t, file+": the policy is valid\n", out)
				return
			}
			require.ErrorContains(t, err, string(bytes.ReplaceAll([]byte(c.problem), []byte("POLICY"), []byte(file))))
			require.Empty(t, out)
		})
	}
	_, err := run(t, "policy", "validate", filepath.Join(t.TempDir(), "missing"))
	require.ErrorContains(t, err, "reading the policy")
}

func TestPolicyExample(t *testing.T) {
	_, err := run(t, "policy", "validate", "../../manifests/controller/policy.yaml")
	require.NoError(t, err)
}

func TestUsage(t *testing.T) {
	_, err := run(t, "migrate")
	require.ErrorContains(t, err, "accepts 1 arg(s)")
	_, err = run(t, "status", "-o", "picture")
	require.ErrorContains(t, err, `is "picture", must be json, yaml or name`)
	_, err = run(t, "migrate", "p", "--watch", "-o", "json")
	require.ErrorContains(t, err, "leave out -o json")
	_, err = run(t, "status")
	require.ErrorContains(t, err, "finding the cluster")
	out, err := run(t, "completion", "bash")
	require.NoError(t, err)
	require.Contains(t, out, "kubectl-ms2m")
}
