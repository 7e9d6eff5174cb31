package placement

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func cluster(t *testing.T, underWay []*v1alpha1.Migration, objects ...runtime.Object) *Cluster {
	t.Helper()
	c := NewCluster(fake.NewClientset(objects...), func() []*v1alpha1.Migration { return underWay })
	_, err := c.Place(t.Context(), pod("p", ""), pod("p", "a1"))
	require.ErrorIs(t, err, ErrNotReady)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Start(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	require.Eventually(t, func() bool { return c.started.Load() != nil }, 30*time.Second, 5*time.Millisecond)
	return c
}

func TestPlaceCountsMovesUnderWay(t *testing.T) {
	source := pod("p", "a1", requests("2", "1Gi"))
	arriving := &v1alpha1.Migration{Spec: v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "big", UID: "big"}, TargetNode: "a2"}}
	own := &v1alpha1.Migration{Spec: v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "p", UID: "p"}}}
	c := cluster(t, []*v1alpha1.Migration{arriving, own}, source, pod("big", "a1", requests("3", "1Gi")), node("a1"), node("a2"), node("a3"))
	got, err := c.Place(t.Context(), source, source)
	require.NoError(t, err)
	require.Equal(t, "a3", got.Node, got.String())
	require.Equal(t, "Insufficient cpu", got.Against["a2"])
}

// TestPlaceIsWhatTheSchedulerAllows: two of the three nodes are in the source's zone, which the source closes to its like
// as long as it is there.
func TestPlaceIsWhatTheSchedulerAllows(t *testing.T) {
	source := pod("p", "a1", antiAffinity(corev1.LabelTopologyZone), requests("100m", "1Gi"))
	other := pod("other", "b1", requests("3", "6Gi"), func(p *corev1.Pod) { p.Labels = nil })
	c := cluster(t, nil, source, other, node("a1"), node("a2"), node("b1"))
	got, err := c.Place(t.Context(), source, source)
	require.NoError(t, err)
	require.Equal(t, "b1", got.Node, got.String())
	require.Contains(t, got.Against["a2"], "anti-affinity")
}
