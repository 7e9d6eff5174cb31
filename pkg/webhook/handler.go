package webhook

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// PathPods is where the webhook for pods is served.
const PathPods = "/mutate-pods"

// Steer may change a pod before it is prepared: one that takes over from another starts closed.
type Steer func(ctx context.Context, namespace string, pod *corev1.Pod) error

// Register serves the webhook for pods on the manager's webhook server. Gates run the image gateImage.
func Register(mgr ctrl.Manager, gateImage string, steer Steer) {
	mgr.GetWebhookServer().Register(PathPods, &webhook.Admission{Handler: &pods{
		decoder:   admission.NewDecoder(mgr.GetScheme()),
		gateImage: gateImage,
		steer:     steer,
	}})
}

type pods struct {
	decoder   admission.Decoder
	gateImage string
	steer     Steer
}

// Handle implements admission.Handler.
func (h *pods) Handle(ctx context.Context, req admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := h.decoder.Decode(req, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if pod.Labels[v1alpha1.LabelMigratable] != "true" {
		return admission.Allowed("the pod is not labelled " + v1alpha1.LabelMigratable + "=true")
	}
	if reasons := refusals(pod); len(reasons) > 0 {
		all := strings.Join(reasons, "; ")
		slog.WarnContext(ctx, "Pod refused", "namespace", req.Namespace, "pod", pod.Name, "generateName", pod.GenerateName, "reasons", all)
		return admission.Denied("the pod is labelled " + v1alpha1.LabelMigratable + "=true but can never be migrated: " + all)
	}
	if err := h.steer(ctx, req.Namespace, pod); err != nil {
		// Open beside an instance that is active would be worse than late.
		return admission.Errored(http.StatusInternalServerError, err)
	}
	prepare(pod, h.gateImage)
	raw, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, raw)
}
