package moves

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// Events on pods.
const (
	reasonAsked    = "MigrationRequested"
	reasonCooldown = "MigrationCooldown"
	actionMigrate  = "Migrate"
)

// maxName is the longest name of a Kubernetes object.
const maxName = 253

// CooldownError refuses to move a pod again so soon after a Migration of it came to nothing.
type CooldownError struct {
	Pod   types.NamespacedName
	Until time.Time
}

func (e *CooldownError) Error() string {
	return fmt.Sprintf("pod %s is in cooldown until %s because its last migration failed; see kubectl -n %s get migrations",
		e.Pod, e.Until.UTC().Format(time.RFC3339), e.Pod.Namespace)
}

// Migratable reports whether pod is one that a Migration can move: opted in, prepared by the webhook, and running.
// Any other is evicted.
func Migratable(pod *corev1.Pod) bool {
	return pod.Labels[v1alpha1.LabelMigratable] == "true" &&
		pod.Spec.RuntimeClassName != nil && *pod.Spec.RuntimeClassName == v1alpha1.RuntimeClass &&
		pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
}

// Requester asks for Migrations. Asking twice for the same pod, as identified by its UID, is asking once.
type Requester struct {
	// Client creates Migrations; its reads must not come from a cache.
	Client client.Client
	Index  *Index
	Events events.EventRecorder
	Clock  clock.PassiveClock
	Policy v1alpha1.MigrationPolicy
}

// Request makes sure that a Migration of the pod is under way and returns it: to the node that ctx names, else to any. It
// fails with *CooldownError when the last one came to nothing too recently.
func (r *Requester) Request(ctx context.Context, pod *corev1.Pod, reason string) (*v1alpha1.Migration, error) {
	attempt := 1
	for _, m := range r.Index.Of(pod.UID) {
		if !m.Status.Phase.Ended() {
			return m, nil
		}
		attempt++
	}
	for ; ; attempt++ {
		if err := r.cooldown(pod, r.Index.failedAt(pod.UID)); err != nil {
			return nil, err
		}
		m := r.migration(pod, reason, attempt)
		m.Spec.TargetNode = target(ctx)
		err := r.Client.Create(ctx, m)
		if err == nil {
			r.Index.Set(m)
			r.Events.Eventf(pod, m, corev1.EventTypeNormal, reasonAsked, actionMigrate,
				"migration %s was asked for by %s", m.Name, reason)
			return m, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("creating migration %s/%s: %w", m.Namespace, m.Name, err)
		}
		// The index is behind: learn about the Migration that has the name.
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(m), m); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("reading migration %s/%s: %w", m.Namespace, m.Name, err)
		} else if err != nil {
			attempt-- // deleted in between: the name is free again
			continue
		}
		if m.Spec.Pod.UID != pod.UID {
			continue
		}
		r.Index.Set(m)
		if !m.Status.Phase.Ended() {
			return m, nil
		}
	}
}

func (r *Requester) cooldown(pod *corev1.Pod, failed time.Time) error {
	until := failed.Add(r.Policy.Cooldown.Duration)
	if failed.IsZero() || !r.Clock.Now().Before(until) {
		return nil
	}
	err := &CooldownError{Pod: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, Until: until}
	r.Events.Eventf(pod, nil, corev1.EventTypeWarning, reasonCooldown, actionMigrate, "%s", err.Error())
	return err
}

func (r *Requester) migration(pod *corev1.Pod, reason string, attempt int) *v1alpha1.Migration {
	return &v1alpha1.Migration{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: name(pod, attempt)},
		Spec: v1alpha1.MigrationSpec{
			Pod:      v1alpha1.PodReference{Name: pod.Name, UID: pod.UID},
			Strategy: r.Policy.Strategy,
			Cutoff:   r.Policy.Cutoff,
			MaxPause: r.Policy.MaxPause,
			Reason:   reason,
		},
	}
}

// name is the same for everyone who asks for the same attempt to move the same pod, so that the API server lets only
// one Migration of them come into being.
func name(pod *corev1.Pod, attempt int) string {
	suffix := "-" + string(pod.UID)
	if len(suffix) > 9 {
		suffix = suffix[:9]
	}
	if attempt > 1 {
		suffix += fmt.Sprintf("-%d", attempt)
	}
	prefix := pod.Name
	if room := maxName - len(suffix); len(prefix) > room {
		prefix = strings.TrimRight(prefix[:room], "-.")
	}
	return prefix + suffix
}
