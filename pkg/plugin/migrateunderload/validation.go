package migrateunderload

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/descheduler/pkg/api"
	"sigs.k8s.io/descheduler/pkg/framework/plugins/nodeutilization"
)

// ValidateMigrateUnderLoadArgs validates arguments before they are defaulted.
func ValidateMigrateUnderLoadArgs(obj runtime.Object) error {
	args := obj.(*MigrateUnderLoadArgs)
	problems := append(validateThresholds(args), validateSource(args)...)
	if args.Cycles != nil && *args.Cycles < 1 {
		problems = append(problems, fmt.Errorf("cycles: is %d, must be at least 1", *args.Cycles))
	}
	if args.EvictableNamespaces != nil && len(args.EvictableNamespaces.Include) > 0 {
		problems = append(problems, errors.New("evictableNamespaces: only exclude can be set"))
	}
	return errors.Join(problems...)
}

func validateThresholds(args *MigrateUnderLoadArgs) (problems []error) {
	if len(args.Thresholds) == 0 {
		problems = append(problems, errors.New("thresholds: there is none, so no node would ever be relieved"))
	}
	margin := ptr.Deref(args.Margin, defaultMargin)
	if margin < 0 {
		problems = append(problems, fmt.Errorf("margin: is %v, must not be negative", margin))
	}
	for _, name := range slices.Sorted(maps.Keys(args.Thresholds)) {
		switch percent := args.Thresholds[name]; {
		case percent <= 0 || percent > nodeutilization.MaxResourcePercentage:
			problems = append(problems, fmt.Errorf("thresholds: %s is %v, must be more than 0 and at most 100", name, percent))
		case percent <= margin:
			problems = append(problems, fmt.Errorf("thresholds: %s is %v, must be more than the margin, %v", name, percent, margin))
		}
	}
	return problems
}

// validateSource finds thresholds that the source of usage knows nothing of.
func validateSource(args *MigrateUnderLoadArgs) (problems []error) {
	source, prometheus := api.MetricsSource(""), (*Prometheus)(nil)
	if args.MetricsUtilization != nil {
		source, prometheus = args.MetricsUtilization.Source, args.MetricsUtilization.Prometheus
		if source != api.KubernetesMetrics && source != api.PrometheusMetrics {
			problems = append(problems, fmt.Errorf("metricsUtilization.source: is %q, must be %s or %s", source, api.KubernetesMetrics, api.PrometheusMetrics))
		}
	}
	if source == api.PrometheusMetrics && (prometheus == nil || prometheus.Query == "" || prometheus.PodQuery == "") {
		problems = append(problems, errors.New("metricsUtilization.prometheus: needs both query and podQuery"))
	}
	if source != api.PrometheusMetrics && prometheus != nil {
		problems = append(problems, fmt.Errorf("metricsUtilization.prometheus: is of use only with source %s", api.PrometheusMetrics))
	}
	for _, name := range slices.Sorted(maps.Keys(args.Thresholds)) {
		if !knows(source, name) {
			problems = append(problems, fmt.Errorf("thresholds: nothing is known of %s with this source of usage", name))
		}
	}
	return problems
}

func knows(source api.MetricsSource, name corev1.ResourceName) bool {
	switch source {
	case api.PrometheusMetrics:
		return name == nodeutilization.MetricResource
	case api.KubernetesMetrics:
		return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourcePods
	default:
		return name != nodeutilization.MetricResource
	}
}
