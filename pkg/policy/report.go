package policy

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/events"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// StatusSuffix, after the name of the policy ConfigMap, names the ConfigMap that tells what became of the policy.
const StatusSuffix = "-status"

// Keys of the status ConfigMap.
const (
	statusState    = "state"
	statusMessage  = "message"
	statusObserved = "observedResourceVersion"
	statusInForce  = "resourceVersion"
	statusTime     = "time"
	// statusGood prefixes the keys of the policy in force.
	statusGood = "inForce."
)

// Reasons of events on the policy ConfigMap.
const (
	reasonAccepted = "PolicyAccepted"
	reasonRefused  = "PolicyRefused"
	actionReload   = "Reload"
)

// maxNote is the limit of the API server for an event's note.
const maxNote = 1024

type reporter struct {
	configMaps corev1client.ConfigMapInterface
	recorder   events.EventRecorder
	namespace  string
	name       string
}

func (r *reporter) publish(ctx context.Context, cm *corev1.ConfigMap, v Verdict) {
	measure(v)
	switch v.State {
	case Accepted:
		slog.InfoContext(ctx, "Policy accepted", "configMap", r.name, "resourceVersion", v.Observed)
		r.recorder.Eventf(cm, nil, corev1.EventTypeNormal, reasonAccepted, actionReload, "the policy is in force")
	case Refused:
		for _, p := range v.Problems {
			slog.ErrorContext(ctx, "Policy refused", "configMap", r.name, "resourceVersion", v.Observed,
				"key", p.Key, "line", p.Line, "field", p.Field, "problem", p.Message)
		}
		r.recorder.Eventf(cm, nil, corev1.EventTypeWarning, reasonRefused, actionReload, "%s", note(v))
	case Missing:
		slog.WarnContext(ctx, "Policy missing, the descheduler idles", "configMap", r.name, "namespace", r.namespace)
	}
	if err := r.write(ctx, v); err != nil {
		slog.ErrorContext(ctx, "Writing the policy's status failed", "configMap", r.name+StatusSuffix, "error", err)
	}
}

func note(v Verdict) string {
	kept := "the descheduler idles: there is no earlier version"
	if v.InForce != nil {
		kept = "version " + v.InForce.Version + " stays in force"
	}
	text := strings.ReplaceAll(v.Message, "\n", "; ") // lists of events show one line
	if room := maxNote - len(kept) - len("; "); len(text) > room {
		text = text[:room-len("…")] + "…"
	}
	return text + "; " + kept
}

func (r *reporter) write(ctx context.Context, v Verdict) error {
	status := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: r.name + StatusSuffix},
		Data: map[string]string{
			statusState:    string(v.State),
			statusMessage:  v.Message,
			statusObserved: v.Observed,
			statusTime:     time.Now().UTC().Format(time.RFC3339),
		},
	}
	if p := v.InForce; p != nil {
		status.Data[statusInForce] = p.Version
		status.Data[statusGood+v1alpha1.PolicyKeyDescheduler] = p.Descheduler
		if p.migration != "" {
			status.Data[statusGood+v1alpha1.PolicyKeyMigration] = p.migration
		}
	}
	// Only the leader writes here, and a newer verdict always replaces an older one.
	_, err := r.configMaps.Update(ctx, status, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = r.configMaps.Create(ctx, status, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", status.Name, err)
	}
	return nil
}

// lastGood reads the policy that was in force as a policy ConfigMap, nil when there was none.
func (r *reporter) lastGood(ctx context.Context) (*corev1.ConfigMap, error) {
	status, err := r.configMaps.Get(ctx, r.name+StatusSuffix, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s: %w", r.name+StatusSuffix, err)
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, ResourceVersion: status.Data[statusInForce]},
		Data:       map[string]string{},
	}
	for _, key := range []string{v1alpha1.PolicyKeyDescheduler, v1alpha1.PolicyKeyMigration} {
		if text, ok := status.Data[statusGood+key]; ok {
			cm.Data[key] = text
		}
	}
	if len(cm.Data) == 0 {
		return nil, nil
	}
	return cm, nil
}
