package plugin

import (
	"strings"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
	"sigs.k8s.io/descheduler/metrics"
)

// GatherMetrics gathers the descheduler's own metrics. It leaves out what its registry has of the process, which
// controller-runtime's has too.
func GatherMetrics() ([]*dto.MetricFamily, error) {
	all, err := legacyregistry.DefaultGatherer.Gather()
	var own []*dto.MetricFamily
	for _, family := range all {
		if strings.HasPrefix(family.GetName(), metrics.DeschedulerSubsystem+"_") {
			own = append(own, family)
		}
	}
	return own, err
}
