package plugin

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/descheduler/pkg/descheduler/evictions"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func TestMarksAreTakenOff(t *testing.T) {
	const source, target = types.UID("0000p0-uid"), types.UID("0000t0-uid")
	migration := func(phase v1alpha1.Phase) *v1alpha1.Migration {
		return &v1alpha1.Migration{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"},
			Spec:       v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: "p0", UID: source}},
			Status:     v1alpha1.MigrationStatus{Phase: phase},
		}
	}
	for name, test := range map[string]struct {
		// cached and live are the Migration as the cache and as the API server have it; nil for not at all.
		cached, live *v1alpha1.Migration
		marked       []types.UID
	}{
		"under way":       {migration(v1alpha1.PhaseReplaying), migration(v1alpha1.PhaseReplaying), []types.UID{source}},
		"not cached yet":  {nil, migration(""), []types.UID{source}},
		"rolled back":     {migration(v1alpha1.PhaseRolledBack), migration(v1alpha1.PhaseRolledBack), nil},
		"succeeded":       {migration(v1alpha1.PhaseSucceeded), migration(v1alpha1.PhaseSucceeded), nil},
		"deleted by hand": {nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			require.NoError(t, v1alpha1.AddToScheme(scheme))
			require.NoError(t, clientgoscheme.AddToScheme(scheme))
			isMarked := func(p *corev1.Pod) {
				prepared(p)
				p.Annotations = map[string]string{evictions.EvictionRequestAnnotationKey: "", evictions.EvictionInProgressAnnotationKey: "m", "own": "kept"}
			}
			cached := ctrlfake.NewClientBuilder().WithScheme(scheme).WithObjects(testPod("p0", "n1", isMarked), testPod("t0", "n2", isMarked))
			live := ctrlfake.NewClientBuilder().WithScheme(scheme)
			if test.cached != nil {
				cached.WithObjects(test.cached)
			}
			if test.live != nil {
				live.WithObjects(test.live)
			}
			r := &marks{client: cached.Build(), live: live.Build()}
			_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "default", Name: "m"}})
			require.NoError(t, err)

			var pods corev1.PodList
			require.NoError(t, r.client.List(t.Context(), &pods, client.InNamespace("default")))
			require.Len(t, pods.Items, 2)
			var marked []types.UID
			for _, p := range pods.Items {
				require.Equal(t, "kept", p.Annotations["own"])
				if _, ok := p.Annotations[evictions.EvictionRequestAnnotationKey]; ok {
					marked = append(marked, p.UID)
				}
			}
			require.Equal(t, test.marked, marked)
			require.NotContains(t, marked, target)
		})
	}
}
