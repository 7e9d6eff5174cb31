package migratefromdrainednodes

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/descheduler/pkg/api"
)

func TestDefaults(t *testing.T) {
	args := &MigrateFromDrainedNodesArgs{}
	SetDefaults_MigrateFromDrainedNodesArgs(args)
	require.Equal(t, &MigrateFromDrainedNodesArgs{
		Cordoned: ptr.To(true), Taints: []string{"ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted"},
	}, args)

	args = &MigrateFromDrainedNodesArgs{Cordoned: ptr.To(false), Taints: []string{"maintenance"}}
	SetDefaults_MigrateFromDrainedNodesArgs(args)
	require.Equal(t, &MigrateFromDrainedNodesArgs{Cordoned: ptr.To(false), Taints: []string{"maintenance"}}, args)

	args = &MigrateFromDrainedNodesArgs{Taints: []string{}}
	SetDefaults_MigrateFromDrainedNodesArgs(args)
	require.Empty(t, args.Taints, "an empty list is no list that was left out")
}

func TestValidation(t *testing.T) {
	for name, test := range map[string]struct {
		args    MigrateFromDrainedNodesArgs
		problem string
	}{
		"nothing given": {},
		"all given": {args: MigrateFromDrainedNodesArgs{
			Namespaces:    &api.Namespaces{Exclude: []string{"kube-system"}},
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Cordoned:      ptr.To(false),
			Taints:        []string{"maintenance", "example.com/drain=soon"},
		}},
		"both kinds of namespaces": {MigrateFromDrainedNodesArgs{Namespaces: &api.Namespaces{Include: []string{"a"}, Exclude: []string{"b"}}}, "namespaces: only one of"},
		"bad selector":             {MigrateFromDrainedNodesArgs{LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}}, "labelSelector: "},
		"nothing drains":           {MigrateFromDrainedNodesArgs{Cordoned: ptr.To(false), Taints: []string{}}, "no node would ever be drained"},
		"empty taint":              {MigrateFromDrainedNodesArgs{Taints: []string{""}}, `taints[0]: "" is no key`},
		"taint with effect":        {MigrateFromDrainedNodesArgs{Taints: []string{"a", "b=c:NoSchedule"}}, `taints[1]: "b=c:NoSchedule" is no key or key=value`},
	} {
		t.Run(name, func(t *testing.T) {
			err := ValidateMigrateFromDrainedNodesArgs(&test.args)
			if test.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.problem)
		})
	}
}

func TestWhatDrains(t *testing.T) {
	noSchedule := func(key, value string) corev1.Taint {
		return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffectNoSchedule}
	}
	d := drains{cordoned: true, taints: sets.New("out", "window=tonight")}
	node := func(unschedulable bool, taints ...corev1.Taint) *corev1.Node {
		return &corev1.Node{Spec: corev1.NodeSpec{Unschedulable: unschedulable, Taints: taints}}
	}
	require.Empty(t, d.of(node(false, noSchedule("dedicated", "x"), noSchedule("window", "never"))))
	require.Len(t, d.of(node(true)), 1)
	require.Empty(t, drains{}.of(node(true)))
	require.Equal(t, []corev1.Taint{noSchedule("out", "x")}, d.of(node(false, noSchedule("out", "x"))))
	require.Equal(t, []corev1.Taint{noSchedule("window", "tonight")}, d.of(node(false, noSchedule("window", "tonight"))))
}

func TestTolerationOfEveryTaintKeepsAPod(t *testing.T) {
	taints := []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "b", Effect: corev1.TaintEffectNoExecute}}
	pod := func(keys ...string) *corev1.Pod {
		p := &corev1.Pod{}
		for _, k := range keys {
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: k, Operator: corev1.TolerationOpExists})
		}
		return p
	}
	require.True(t, tolerates(t.Context(), pod("a", "b"), taints))
	require.False(t, tolerates(t.Context(), pod("a"), taints))
	require.False(t, tolerates(t.Context(), pod(), taints))
}
