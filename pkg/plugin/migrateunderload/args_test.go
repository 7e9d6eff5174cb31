package migrateunderload

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/descheduler/pkg/api"
)

func TestDefaults(t *testing.T) {
	args := &MigrateUnderLoadArgs{}
	SetDefaults_MigrateUnderLoadArgs(args)
	require.Equal(t, &MigrateUnderLoadArgs{Margin: ptr.To(api.Percentage(5)), Cycles: ptr.To(3)}, args)

	args = &MigrateUnderLoadArgs{Margin: ptr.To(api.Percentage(0)), Cycles: ptr.To(1)}
	SetDefaults_MigrateUnderLoadArgs(args)
	require.Equal(t, &MigrateUnderLoadArgs{Margin: ptr.To(api.Percentage(0)), Cycles: ptr.To(1)}, args)
}

func TestValidation(t *testing.T) {
	cpu := api.ResourceThresholds{"cpu": 80}
	prometheus := &Prometheus{Query: "q", PodQuery: "p"}
	for name, test := range map[string]struct {
		args    MigrateUnderLoadArgs
		problem string
	}{
		"requests":          {args: MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"cpu": 80, "nvidia.com/gpu": 100}}},
		"measured":          {args: MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"cpu": 80, "memory": 90, "pods": 90}, MetricsUtilization: &MetricsUtilization{Source: api.KubernetesMetrics}}},
		"queried":           {args: MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"MetricResource": 80}, MetricsUtilization: &MetricsUtilization{Source: api.PrometheusMetrics, Prometheus: prometheus}}},
		"nothing":           {MigrateUnderLoadArgs{}, "thresholds: there is none"},
		"too much":          {MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"cpu": 101}}, "thresholds: cpu is 101, must be more than 0 and at most 100"},
		"nothing left":      {MigrateUnderLoadArgs{Thresholds: cpu, Margin: ptr.To(api.Percentage(80))}, "must be more than the margin"},
		"default margin":    {MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"cpu": 5}}, "must be more than the margin, 5"},
		"negative margin":   {MigrateUnderLoadArgs{Thresholds: cpu, Margin: ptr.To(api.Percentage(-1))}, "margin: is -1"},
		"no cycles":         {MigrateUnderLoadArgs{Thresholds: cpu, Cycles: ptr.To(0)}, "cycles: is 0"},
		"included spaces":   {MigrateUnderLoadArgs{Thresholds: cpu, EvictableNamespaces: &api.Namespaces{Include: []string{"a"}}}, "only exclude"},
		"unknown source":    {MigrateUnderLoadArgs{Thresholds: cpu, MetricsUtilization: &MetricsUtilization{Source: "Guess"}}, `metricsUtilization.source: is "Guess"`},
		"unmeasured":        {MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"nvidia.com/gpu": 80}, MetricsUtilization: &MetricsUtilization{Source: api.KubernetesMetrics}}, "nothing is known of nvidia.com/gpu"},
		"no query of pods":  {MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"MetricResource": 80}, MetricsUtilization: &MetricsUtilization{Source: api.PrometheusMetrics, Prometheus: &Prometheus{Query: "q"}}}, "needs both query and podQuery"},
		"queries elsewhere": {MigrateUnderLoadArgs{Thresholds: cpu, MetricsUtilization: &MetricsUtilization{Source: api.KubernetesMetrics, Prometheus: prometheus}}, "is of use only with source Prometheus"},
		"queried alone":     {MigrateUnderLoadArgs{Thresholds: api.ResourceThresholds{"MetricResource": 80}}, "nothing is known of MetricResource"},
	} {
		t.Run(name, func(t *testing.T) {
			err := ValidateMigrateUnderLoadArgs(&test.args)
			if test.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.problem)
		})
	}
}
