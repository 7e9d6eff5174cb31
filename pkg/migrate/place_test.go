package migrate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// oracle answers every question alike.
type oracle struct {
	node, why string
	err       error
	asked     int
}

func (o *oracle) Place(_ context.Context, target, source *corev1.Pod) (node, why string, err error) {
	o.asked++
	if target.Spec.NodeName != "" || source.UID != sourceUID {
		return "", "", errors.New("asked about the wrong pods")
	}
	return o.node, o.why, o.err
}

func TestTargetIsWhereItIsPlaced(t *testing.T) {
	for name, c := range map[string]struct {
		oracle oracle
		named  string // by the migration
		phase  v1alpha1.Phase
		says   string
		node   string // that the target pod is bound to
	}{
		"chosen":    {oracle: oracle{node: "node2", why: "node node2 is the best; node3: Insufficient cpu"}, phase: v1alpha1.PhaseSucceeded, says: "TargetChosen node node2 is the best; node3: Insufficient cpu", node: "In [node2]"},
		"none fits": {oracle: oracle{why: "node3: Insufficient cpu"}, phase: v1alpha1.PhaseRolledBack, says: "no node can take the pod: node3: Insufficient cpu"},
		"no answer": {oracle: oracle{err: errors.New("not read yet")}, phase: v1alpha1.PhaseSucceeded, node: "NotIn [node1]"},
		"named":     {oracle: oracle{node: "node3"}, named: "node2", phase: v1alpha1.PhaseSucceeded, node: "In [node2]"},
	} {
		t.Run(name, func(t *testing.T) {
			m := migration()
			m.Spec.TargetNode = c.named
			w := newWorld(t, m, sourcePod())
			w.placer = &c.oracle
			have := w.reconcile(m)
			require.Equal(t, c.phase, have.Status.Phase, have.Status.Message)
			require.Equal(t, c.named == "", c.oracle.asked > 0)
			require.Contains(t, w.transcript(have), c.says)
			if c.node == "" {
				return
			}
			pod := &corev1.Pod{}
			require.NoError(t, w.api.Get(t.Context(), client.ObjectKey{Namespace: m.Namespace, Name: have.Status.Target.Pod}, pod))
			required := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0]
			require.Equal(t, c.node, string(required.Operator)+" ["+strings.Join(required.Values, " ")+"]")
		})
	}
}
