package migrateunderload

import (
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Event on a node that stays too full.
const (
	eventNotRelieved = "NotRelieved"
	actionMigrate    = "Migrate"
)

// States of nodes above a threshold.
const (
	stateWaiting  = "Waiting"
	stateRelieved = "Relieved"
	stateStuck    = "Stuck"
)

var hotNodes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "ms2m_hot_nodes",
	Help: "Nodes above a threshold of MigrateUnderLoad as of the last cycle: Waiting for as many cycles as the policy says, Relieved by migrations, or Stuck.",
}, []string{"state"})

func init() { metrics.Registry.MustRegister(hotNodes) }

// report tells people what becomes of nodes that are too full.
type report struct {
	recorder events.EventRecorder
	// stuck are the nodes that were reported as such and still are.
	stuck sets.Set[string]
}

func (r *report) publish(logger klog.Logger, s *survey, chosen []move, stuck []string) {
	counts := map[string]int{stateWaiting: 0, stateRelieved: 0, stateStuck: len(stuck)}
	relieved := sets.New[string]()
	for _, m := range chosen {
		relieved.Insert(m.from)
	}
	counts[stateRelieved] = relieved.Len()
	still := sets.New(stuck...)
	for _, m := range s.machines {
		switch {
		case relieved.Has(m.name):
		case still.Has(m.name):
			if !r.stuck.Has(m.name) {
				r.tell(logger, s.nodes[m.name], len(m.pods))
			}
		case m.hot():
			counts[stateWaiting]++
			logger.V(1).Info("Node is above a threshold and not yet relieved", "node", m.name)
		}
	}
	for state, n := range counts {
		hotNodes.WithLabelValues(state).Set(float64(n))
	}
	r.stuck = still
}

func (r *report) tell(logger klog.Logger, node *corev1.Node, movable int) {
	logger.Info("Node is above a threshold and migrations cannot bring it below", "node", klog.KObj(node), "movable", movable)
	r.recorder.Eventf(node, nil, corev1.EventTypeWarning, eventNotRelieved, actionMigrate,
		"the node stays above a threshold of the policy: no set of its %d pods that can be migrated would bring it below and finds room on nodes that stay below", movable)
}
