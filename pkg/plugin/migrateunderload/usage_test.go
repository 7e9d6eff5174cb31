package migrateunderload

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	promapi "github.com/prometheus/client_golang/api"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/descheduler/pkg/api"
	"sigs.k8s.io/descheduler/pkg/framework/fake"
	"sigs.k8s.io/descheduler/pkg/framework/plugins/nodeutilization"
)

// prometheusServer answers queries with samples per instance.
func prometheusServer(t *testing.T, answers map[string]map[string]string) promapi.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var samples []any
		for instance, value := range answers[r.FormValue("query")] {
			samples = append(samples, map[string]any{"metric": map[string]string{"instance": instance}, "value": []any{1, value}})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": samples}})
	}))
	t.Cleanup(server.Close)
	client, err := promapi.NewClient(promapi.Config{Address: server.URL})
	require.NoError(t, err)
	return client
}

func TestUsageFromPrometheus(t *testing.T) {
	handle := &fake.HandleImpl{PrometheusClientImpl: prometheusServer(t, map[string]map[string]string{
		"nodes": {"n1": "0.85"}, "pods": {"shop/cart-0": "0.12"}, "broken": {"shop/cart-0": "12"},
	})}
	source := func(podQuery string) *MetricsUtilization {
		return &MetricsUtilization{Source: api.PrometheusMetrics, Prometheus: &Prometheus{Query: "nodes", PodQuery: podQuery}}
	}
	u, err := newUsage(t.Context(), source("pods"), nil, handle)
	require.NoError(t, err)
	names := []corev1.ResourceName{nodeutilization.MetricResource}
	node, err := u.node("n1", nil)
	require.NoError(t, err)
	require.Equal(t, load{85}, loadOf(names, node))
	_, err = u.node("n2", nil)
	require.ErrorContains(t, err, "no sample")
	pod, err := u.pod(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-0"}})
	require.NoError(t, err)
	require.Equal(t, load{12}, loadOf(names, pod))
	_, err = u.pod(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart-1"}})
	require.ErrorContains(t, err, "no sample for shop/cart-1")

	_, err = newUsage(t.Context(), source("broken"), nil, handle)
	require.ErrorContains(t, err, "usage of pods")
}

func TestSourcesThatThePolicyLacks(t *testing.T) {
	for _, source := range []api.MetricsSource{api.KubernetesMetrics, api.PrometheusMetrics} {
		_, err := newUsage(t.Context(), &MetricsUtilization{Source: source, Prometheus: &Prometheus{}}, nil, &fake.HandleImpl{})
		require.ErrorContains(t, err, "metricsProviders lack the source "+string(source))
	}
}
