package policy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// checkKind stands for the descheduler's check: it knows one field.
func checkKind(doc *Document) Problems {
	var p struct {
		Kind string `json:"kind"`
	}
	return doc.Decode(&p)
}

func configMap(version string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "policy", ResourceVersion: version}, Data: data}
}

const migrationHead = "apiVersion: ms2m.dev/v1alpha1\nkind: MigrationPolicy\n"

func TestParseFillsDefaults(t *testing.T) {
	p, err := Parse(configMap("7", map[string]string{
		"descheduler.yaml": "kind: x",
		"migration.yaml":   migrationHead + "cooldown: 30s\ncutoff: {maxReplay: 4s}\ndryRun: true\n",
	}), checkKind)
	require.NoError(t, err)
	want := DefaultMigration()
	want.Cooldown.Duration = 30 * time.Second
	want.Cutoff.MaxReplay.Duration = 4 * time.Second
	want.DryRun = true
	require.Equal(t, want, p.Migration)
	require.Equal(t, "7", p.Version)
	require.Equal(t, v1alpha1.StrategyAuto, p.Migration.Strategy)

	p, err = Parse(configMap("8", map[string]string{"descheduler.yaml": "kind: x"}), checkKind)
	require.NoError(t, err)
	require.Equal(t, DefaultMigration(), p.Migration)
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		data    map[string]string
		problem string
	}{
		"no descheduler policy": {map[string]string{}, "descheduler.yaml: is missing"},
		"unknown key":           {map[string]string{"descheduler.yaml": "kind: x", "migrations.yaml": "x"}, "migrations.yaml: unknown key"},
		"empty":                 {map[string]string{"descheduler.yaml": "# nothing\n"}, "descheduler.yaml: is empty"},
		"not YAML":              {map[string]string{"descheduler.yaml": "kind: x\nprofiles: [\n"}, "descheduler.yaml:2: did not find"},
		"not a mapping":         {map[string]string{"descheduler.yaml": "- x\n"}, "descheduler.yaml:1: is not a mapping"},
		"a field twice":         {map[string]string{"descheduler.yaml": "kind: x\nkind: y\n"}, `descheduler.yaml:2: key "kind" already`},
		"two documents":         {map[string]string{"descheduler.yaml": "kind: x\n---\nkind: y\n"}, "descheduler.yaml:2: holds more than one document"},
		"unknown field":         {map[string]string{"descheduler.yaml": "kind: x\nkinds: y\n"}, "descheduler.yaml:2: kinds: unknown field"},
		"unknown nested field":  {migration("maxPause: 1s\ncutoff:\n  maxReplay: 1s\n  dedline: 1m\n"), "migration.yaml:6: cutoff.dedline: unknown field"},
		"not a duration":        {migration("cutoff:\n  deadline: soon\n"), `migration.yaml:4: cutoff.deadline: time: invalid duration "soon"`},
		"not positive":          {migration("cooldown: 0s\n"), "migration.yaml:3: cooldown: is 0s, must be positive"},
		"negative":              {migration("maxPause: -1s\n"), "migration.yaml:3: maxPause: is -1s, must be positive"},
		"too often":             {migration("interval: 10ms\n"), "migration.yaml:3: interval: is 10ms, must be at least 1s"},
		"deadline too short":    {migration("cutoff: {maxReplay: 5m}\n"), "migration.yaml:3: cutoff.deadline: is 2m0s, must be longer"},
		"unknown strategy":      {migration("strategy: Magic\n"), `migration.yaml:3: strategy: is "Magic", must be one of [Auto Shadow IdentitySwap]`},
		"wrong kind of value":   {migration("dryRun: maybe\n"), "migration.yaml:3: dryRun: is a string where a bool belongs"},
		"other kind":            {map[string]string{"descheduler.yaml": "kind: x", "migration.yaml": "apiVersion: ms2m.dev/v1alpha1\nkind: Policy\n"}, `migration.yaml:2: kind: is "Policy"`},
		"no version":            {map[string]string{"descheduler.yaml": "kind: x", "migration.yaml": "kind: MigrationPolicy\n"}, `apiVersion: is "", must be "ms2m.dev/v1alpha1"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(configMap("1", test.data), checkKind)
			var problems Problems
			require.ErrorAs(t, err, &problems)
			require.Contains(t, err.Error(), test.problem)
		})
	}
}

func migration(fields string) map[string]string {
	return map[string]string{"descheduler.yaml": "kind: x", "migration.yaml": migrationHead + fields}
}

func TestEveryProblemIsTold(t *testing.T) {
	_, err := Parse(configMap("1", map[string]string{
		"descheduler.yaml": "kid: x\nsort: y\n",
		"migration.yaml":   migrationHead + "maxPause: -1s\ncooldown: -1s\n",
	}), checkKind)
	var problems Problems
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems, 4)
}

func TestLinesOfKeysWithDots(t *testing.T) {
	doc, problems := Read("k", "a:\n  nvidia.com/gpu:\n    x: 1\n  nvidia:\n  - y: 1\n  - z: 2\n")
	require.Empty(t, problems)
	require.Equal(t, 3, doc.Problem("a.nvidia.com/gpu.x", "").Line)
	require.Equal(t, 6, doc.Problem("a.nvidia[1].z", "").Line)
	require.Equal(t, 4, doc.Problem("a.nvidia[7].z", "").Line, "the last known place on the way")
}
