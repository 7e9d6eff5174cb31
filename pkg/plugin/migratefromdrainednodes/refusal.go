package migratefromdrainednodes

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/descheduler/pkg/framework/plugins/defaultevictor"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// Reasons why a pod stays on a drained node.
const (
	reasonNotMigratable   = "NotMigratable"
	reasonNotPrepared     = "NotPrepared"
	reasonNotRunning      = "PodNotRunning"
	reasonProtected       = "Protected"
	reasonMigrationFailed = "MigrationFailed"
	reasonRequestFailed   = "RequestFailed"
)

// refusal tells why a migration of the pod need not be asked for; an empty reason means that it is.
func (p *MigrateFromDrainedNodes) refusal(pod *corev1.Pod) (reason, message string) {
	switch {
	case pod.Labels[v1alpha1.LabelMigratable] != "true":
		return reasonNotMigratable, fmt.Sprintf("it has no label %s=true, so a drain ends it", v1alpha1.LabelMigratable)
	case pod.Status.Phase != corev1.PodRunning:
		return reasonNotRunning, fmt.Sprintf("it is %s, not Running: there is no state to migrate", pod.Status.Phase)
	case !moves.Migratable(pod):
		return reasonNotPrepared, fmt.Sprintf("it was created before it had the label %s=true or while the webhook was away, so it has no gate: create it again", v1alpha1.LabelMigratable)
	case p.handle.Evictor().Filter(pod) && p.handle.Evictor().PreEvictionFilter(pod):
		return "", ""
	case len(pod.OwnerReferences) == 0 && !defaultevictor.HaveEvictAnnotation(pod):
		return reasonProtected, `the policy's DefaultEvictor protects it: it has no owner and no annotation descheduler.alpha.kubernetes.io/evict: "true"`
	default:
		return reasonProtected, "the filters of the policy's profile protect it (arguments of DefaultEvictor), or it fits on no other node"
	}
}

// failure tells of the pod's last migration, which came to nothing.
func (p *MigrateFromDrainedNodes) failure(pod *corev1.Pod) string {
	m := p.index.LastFailed(pod.UID)
	if m == nil {
		return "its last migration failed: see kubectl get migrations"
	}
	return fmt.Sprintf("migration %s ended as %s and is not tried again before the policy's cooldown is over: %s", m.Name, m.Status.Phase, m.Status.Message)
}
