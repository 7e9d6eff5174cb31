package plugin

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes/fake"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

const goodPolicy = `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
maxNoOfPodsToEvictPerNode: 5
profiles:
- name: default
  pluginConfig:
  - name: DefaultEvictor
    args:
      minPodAge: 30s
  - name: LowNodeUtilization
    args:
      thresholds: {cpu: 30, memory: 30}
      targetThresholds: {cpu: 50, memory: 50}
  - name: RemovePodsViolatingNodeTaints
  plugins:
    deschedule: {enabled: [RemovePodsViolatingNodeTaints]}
    balance:
      enabled:
      - LowNodeUtilization
`

func TestCheck(t *testing.T) {
	Register(moves.NewIndex())
	for name, test := range map[string]struct{ old, new, problem string }{
		"good":                     {},
		"unknown field on top":     {"maxNoOfPodsToEvictPerNode", "maxPods", "descheduler.yaml:3: maxPods: unknown field"},
		"unknown field in profile": {"    balance:", "    balanc:", "descheduler.yaml:17: profiles[0].plugins.balanc: unknown field"},
		"unknown argument":         {"minPodAge", "minPodAgee", "descheduler.yaml:9: profiles[0].pluginConfig[0].args.minPodAgee: unknown field"},
		"wrong kind of value":      {"PerNode: 5", "PerNode: five", "descheduler.yaml:3: maxNoOfPodsToEvictPerNode: is a string where a uint belongs"},
		"bad duration":             {"30s", "30 apples", `descheduler.yaml:9: profiles[0].pluginConfig[0].args.minPodAge: time: unknown unit " apples" in duration "30 apples"`},
		"unknown plugin": {"name: LowNodeUtilization", "name: LowNodeUtilisation",
			`descheduler.yaml:10: profiles[0].pluginConfig[1].name: there is no plugin "LowNodeUtilisation"`},
		"unknown plugin enabled": {"- LowNodeUtilization\n", "- Nothing\n",
			`descheduler.yaml:19: profiles[0].plugins.balance.enabled[0]: there is no plugin "Nothing"`},
		"plugin at the wrong point": {"[RemovePodsViolatingNodeTaints]", "[LowNodeUtilization]",
			`descheduler.yaml:16: profiles[0].plugins.deschedule.enabled[0]: plugin "LowNodeUtilization" does not work at deschedule`},
		"plugin without configuration": {"[RemovePodsViolatingNodeTaints]", "[RemoveFailedPods]",
			`descheduler.yaml:16: profiles[0].plugins.deschedule.enabled[0]: plugin "RemoveFailedPods" needs an entry in pluginConfig`},
		"upstream's validation": {"{cpu: 30, memory: 30}", "{cpu: 80, memory: 30}",
			"descheduler.yaml:11: profiles[0].pluginConfig[1].args: thresholds' cpu percentage is greater than targetThresholds'"},
		"upstream's validation of the whole": {"maxNoOfPodsToEvictPerNode: 5", "metricsProviders: [{source: Prometheus}]",
			"descheduler.yaml: loading the descheduler's policy: prometheus configuration is required"},
		"other version": {"v1alpha2", "v1alpha1", `descheduler.yaml:1: apiVersion: is "descheduler/v1alpha1", must be "descheduler/v1alpha2"`},
		"other kind":    {"kind: DeschedulerPolicy", "kind: Policy", `descheduler.yaml:2: kind: is "Policy", must be "DeschedulerPolicy"`},
	} {
		t.Run(name, func(t *testing.T) {
			doc, problems := policy.Read("descheduler.yaml", strings.Replace(goodPolicy, test.old, test.new, 1))
			require.Empty(t, problems)
			problems = Check(fake.NewClientset())(doc)
			if test.problem == "" {
				require.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			require.Contains(t, problems[0].Error(), test.problem)
		})
	}
}
