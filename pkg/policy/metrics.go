package policy

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	refusedTotal = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ms2m_policy_refused_total",
		Help: "Versions of the policy ConfigMap that were refused.",
	})
	info = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ms2m_policy_info",
		Help: "State of the policy ConfigMap; in_force is the resource version in force, empty when the descheduler idles.",
	}, []string{"state", "in_force"})
)

func init() { metrics.Registry.MustRegister(refusedTotal, info) }

func measure(v Verdict) {
	if v.State == Refused {
		refusedTotal.Inc()
	}
	version := ""
	if v.InForce != nil {
		version = v.InForce.Version
	}
	info.Reset()
	info.WithLabelValues(string(v.State), version).Set(1)
}
