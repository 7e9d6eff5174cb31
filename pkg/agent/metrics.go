package agent

import "github.com/prometheus/client_golang/prometheus"

// metrics of the agent.
type metrics struct {
	checkpointSeconds prometheus.Histogram
	archiveBytes      prometheus.Histogram
	deliverySeconds   prometheus.Histogram
	sent              *prometheus.CounterVec
	received          *prometheus.CounterVec
	errors            *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		checkpointSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ms2m_agent_checkpoint_seconds", Help: "Duration of the kubelet's checkpoint calls that succeeded.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 10),
		}),
		archiveBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ms2m_agent_archive_bytes", Help: "Size of checkpoint archives.",
			Buckets: prometheus.ExponentialBuckets(1<<20, 4, 9),
		}),
		deliverySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ms2m_agent_delivery_seconds", Help: "Duration of deliveries until the target's agent acknowledged.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 12),
		}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ms2m_agent_deliveries_total", Help: "Deliveries sent: acknowledged, rejected by the target, or broken.",
		}, []string{"result"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ms2m_agent_archives_received_total", Help: "Deliveries received: unpacked or refused.",
		}, []string{"result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ms2m_agent_errors_total", Help: "Requests that failed, by call and HTTP status.",
		}, []string{"call", "code"}),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.checkpointSeconds, m.archiveBytes, m.deliverySeconds, m.sent, m.received, m.errors}
}
