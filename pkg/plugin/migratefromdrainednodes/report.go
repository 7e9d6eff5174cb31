package migratefromdrainednodes

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Event on a pod, and on its node, that a drain waits for somebody.
const (
	eventNotMigrated = "NotMigrated"
	actionMigrate    = "Migrate"
)

// maxMessage leaves room for the rest of an event's note, which the API server limits to 1024 bytes.
const maxMessage = 600

var stuckPods = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "ms2m_drained_node_stuck_pods",
	Help: "Pods on drained nodes that cannot be migrated, by node and reason, as of the last cycle.",
}, []string{"node", "reason"})

func init() { metrics.Registry.MustRegister(stuckPods) }

// finding is a pod that cannot be migrated away from its node.
type finding struct {
	pod             *corev1.Pod
	node            string
	reason, message string
}

// report tells people what cannot be migrated, once as long as it does not change.
type report struct {
	recorder events.EventRecorder
	// told is what was reported of pods that are stuck still.
	told map[types.UID]string
}

func (r *report) publish(logger klog.Logger, stuck []finding) {
	stuckPods.Reset()
	told := make(map[types.UID]string, len(stuck))
	for _, f := range stuck {
		if len(f.message) > maxMessage {
			f.message = strings.ToValidUTF8(f.message[:maxMessage], "") + "…"
		}
		stuckPods.WithLabelValues(f.node, f.reason).Inc()
		told[f.pod.UID] = f.message
		if r.told[f.pod.UID] == f.message {
			continue
		}
		logger.Info("Pod of a drained node cannot be migrated", "pod", klog.KObj(f.pod), "node", f.node, "reason", f.reason, "message", f.message)
		node := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: f.node, UID: types.UID(f.node)}
		r.recorder.Eventf(f.pod, node, corev1.EventTypeWarning, eventNotMigrated, actionMigrate,
			"node %s is drained and the pod stays on it (%s): %s", f.node, f.reason, f.message)
		r.recorder.Eventf(node, f.pod, corev1.EventTypeWarning, eventNotMigrated, actionMigrate,
			"pod %s stays on this drained node (%s): %s", klog.KObj(f.pod), f.reason, f.message)
	}
	r.told = told
}
