//go:build integration

package gate

import (
	"net/http"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// scraped metrics of a gate, by name: the value, or a histogram's count, summed over all labels.
func (g *gateProcess) scraped() map[string]float64 {
	g.t.Helper()
	resp, err := http.Get("http://" + g.metrics + "/metrics")
	require.NoError(g.t, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	require.NoError(g.t, err)
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			values[name] += valueOf(m)
		}
	}
	return values
}

func valueOf(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
}

// TestMetrics: what a migration shows of itself, and that what is counted stays so after it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	before := s.source.scraped()
	for _, name := range []string{"forwarded_total", "lambda_per_second", "mu_per_second", "added_latency_seconds", "connections", "consumers"} {
		require.Positive(t, before["ms2m_gate_"+name], name)
	}
	require.Zero(t, before["ms2m_gate_logged_total"])
	require.Zero(t, before["ms2m_gate_hold_seconds"])
	source := s.source
	handedOver(s)
	target := s.target
	held := source.scraped()
	require.Equal(t, 1.0, held["ms2m_gate_hold_seconds"])
	require.Equal(t, 1.0, held["ms2m_gate_drain_seconds"])
	require.Positive(t, held["ms2m_gate_outputs"])
	logged := float64(source.status().Logged)
	require.Positive(t, logged)
	s.commit()
	applied(t, s.moved, 10)
	require.Equal(t, logged, source.scraped()["ms2m_gate_logged_total"], "also when the log is closed")
	require.Equal(t, logged, target.scraped()["ms2m_gate_replayed_total"])
	require.Positive(t, target.scraped()["ms2m_gate_added_latency_seconds"])
	s.stop()
	requireExact(t, s.p, s.moved)
}
