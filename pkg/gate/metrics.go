package gate

import (
	"github.com/prometheus/client_golang/prometheus"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// holdSeconds of the pauses that the gate caused.
type holdSeconds struct{ drained, held prometheus.Histogram }

func newHoldSeconds() holdSeconds {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 15)
	return holdSeconds{
		drained: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ms2m_gate_drain_seconds", Buckets: buckets,
			Help: "Time from a hold's beginning until the app stood between two messages."}),
		held: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ms2m_gate_hold_seconds", Buckets: buckets,
			Help: "Time that the app stood between two messages, until the release."}),
	}
}

// addedLatency by who sent the frames.
type addedLatency struct{ app, broker prometheus.Histogram }

func newAddedLatency() addedLatency {
	from := func(side string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:        "ms2m_gate_added_latency_seconds",
			Help:        "Time from having read frames of one side until they were written to the other, while the gate is open.",
			ConstLabels: prometheus.Labels{"from": side},
			Buckets:     prometheus.ExponentialBuckets(10e-6, 2, 14),
		})
	}
	return addedLatency{app: from("app"), broker: from("broker")}
}

var modes = []control.Mode{
	control.ModeOpen, control.ModeHolding, control.ModeHeld, control.ModeLogging, control.ModeHandingOver,
	control.ModeHandedOver, control.ModeFenced, control.ModeClosed, control.ModeReplaying, control.ModeReplayed,
}

// metric that is read off a status.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(control.Status) float64
}

func gaugeOf(name, help string, value func(control.Status) float64) metric {
	return metric{prometheus.NewDesc("ms2m_gate_"+name, help, nil, nil), prometheus.GaugeValue, value}
}

func counterOf(name, help string, value func(control.Status) float64) metric {
	return metric{prometheus.NewDesc("ms2m_gate_"+name, help, nil, nil), prometheus.CounterValue, value}
}

var metricsOfStatus = []metric{
	counterOf("forwarded_total", "Deliveries forwarded to the app.", func(s control.Status) float64 { return float64(s.Forwarded) }),
	gaugeOf("held", "Deliveries that wait in the gate.", func(s control.Status) float64 { return float64(s.Waiting) }),
	counterOf("replayed_total", "Entries of a log that the restored app has settled.", func(s control.Status) float64 { return float64(s.Replayed) }),
	gaugeOf("outputs", "Outputs since the cut, confirmed at a source or suppressed at a target.", func(s control.Status) float64 { return float64(s.Outputs) }),
	gaugeOf("lambda_per_second", "Arrival rate of messages.", func(s control.Status) float64 { return s.Lambda }),
	gaugeOf("mu_per_second", "Service rate of messages.", func(s control.Status) float64 { return s.Mu }),
	gaugeOf("unacked", "Deliveries at the app.", func(s control.Status) float64 { return float64(s.Unacked) }),
	gaugeOf("connections", "Connections of the app.", func(s control.Status) float64 { return float64(s.Connections) }),
	gaugeOf("consumers", "Consumers of the app.", func(s control.Status) float64 { return float64(s.Consumers) }),
	gaugeOf("broken", "1 when the migration under way must roll back.", func(s control.Status) float64 {
		if s.Broken != "" {
			return 1
		}
		return 0
	}),
}

var (
	modeDesc   = prometheus.NewDesc("ms2m_gate_mode", "1 for the gate's mode.", []string{"mode"}, nil)
	loggedDesc = prometheus.NewDesc("ms2m_gate_logged_total", "Entries of logs that the broker has confirmed.", nil, nil)
)

// histograms of the gate.
func (g *Gate) histograms() []prometheus.Histogram {
	return []prometheus.Histogram{g.hold.drained, g.hold.held, g.core.added.app, g.core.added.broker}
}

// Describe implements prometheus.Collector.
func (g *Gate) Describe(ch chan<- *prometheus.Desc) {
	ch <- modeDesc
	ch <- loggedDesc
	for _, m := range metricsOfStatus {
		ch <- m.desc
	}
	for _, h := range g.histograms() {
		h.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (g *Gate) Collect(ch chan<- prometheus.Metric) {
	s := g.Status()
	for _, m := range modes {
		v := 0.0
		if m == s.Mode {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(modeDesc, prometheus.GaugeValue, v, string(m))
	}
	for _, m := range metricsOfStatus {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
	ch <- prometheus.MustNewConstMetric(loggedDesc, prometheus.CounterValue, float64(g.core.loggedEver()))
	for _, h := range g.histograms() {
		h.Collect(ch)
	}
}

// loggedEver, over all migrations.
func (c *core) loggedEver() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loggedBefore + c.logged()
}
