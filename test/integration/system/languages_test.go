//go:build integration

package system

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

// TestLanguages migrates the ledger as it is written in other languages than Go, there and back.
func TestLanguages(t *testing.T) {
	require.NoError(t, installed.Cluster.LoadLedgers(t.Context(), build.NewProgress(os.Stderr)))
	for _, app := range []deploy.App{deploy.Python, deploy.Java, deploy.Node} {
		t.Run(app.Name, func(t *testing.T) {
			w := load(t, 50)
			w.Ledger.App = app
			l := start(t, w)
			for range 2 {
				m, err := l.Migrate(t.Context())
				require.NoError(t, err)
				o, err := l.Judge(t.Context(), m)
				require.NoError(t, err)
				require.True(t, o.Verdict.Undisturbed(), "%+v", o.Verdict)
				require.NotEqual(t, m.Status.Source.Node, m.Status.Target.Node)
			}
		})
	}
}
