package gate

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// TestMetricNames: names, units and helps are as Prometheus wants them.
func TestMetricNames(t *testing.T) {
	g, err := New(Config{Folder: t.TempDir(), Start: control.ModeOpen})
	require.NoError(t, err)
	defer g.Close()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(g))
	problems, err := testutil.GatherAndLint(r)
	require.NoError(t, err)
	require.Empty(t, problems)
}
