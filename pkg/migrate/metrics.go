package migrate

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

var (
	migrations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ms2m_migrations_total", Help: "Migrations that ended, by outcome.",
	}, []string{"outcome"})
	stepSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ms2m_step_seconds", Help: "Time from the begin to the end of a step of a migration.",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
	}, []string{"step"})
	totalSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ms2m_migration_seconds", Help: "Time from the acceptance to the end of a migration that succeeded.",
		Buckets: prometheus.ExponentialBuckets(0.25, 2, 12),
	})
	pauseSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "ms2m_pause_seconds", Help: "Longest time in which no instance processed messages, per migration that succeeded.",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
	})
)

func init() { metrics.Registry.MustRegister(migrations, stepSeconds, totalSeconds, pauseSeconds) }

// observeStep counts the step that ended last.
func observeStep(m *v1alpha1.Migration, name string) {
	t := m.Status.Timeline[len(m.Status.Timeline)-1]
	stepSeconds.WithLabelValues(name).Observe(t.End.Sub(t.Start.Time).Seconds())
}

// observeEnd counts an outcome once it is stored.
func observeEnd(m *v1alpha1.Migration) {
	migrations.WithLabelValues(string(m.Status.Phase)).Inc()
	if m.Status.Phase == v1alpha1.PhaseSucceeded {
		totalSeconds.Observe(m.Status.CompletionTime.Sub(m.Status.StartTime.Time).Seconds())
		pauseSeconds.Observe(float64(m.Status.PauseMillis) / 1000)
	}
}
