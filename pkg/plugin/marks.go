package plugin

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/descheduler/pkg/descheduler/evictions"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// mark tells the descheduler, also one that starts later, that the pod counts as being evicted in the background.
func mark(ctx context.Context, pods corev1client.PodInterface, pod *corev1.Pod, migration string) error {
	patch, err := marksPatch(pod.UID, "", migration)
	if err != nil {
		return err
	}
	if _, err := pods.Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("annotating pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// marksPatch sets both annotations, or removes them when they are nil. The UID makes it fail for another pod.
func marksPatch(uid types.UID, request, inProgress any) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": uid,
		"annotations": map[string]any{
			evictions.EvictionRequestAnnotationKey:    request,
			evictions.EvictionInProgressAnnotationKey: inProgress,
		},
	}})
}

// marks takes the annotations off every pod but the source of a Migration under way: off the source after a rollback,
// which may be evicted again, and off a target that inherited them.
type marks struct {
	client client.Client
	live   client.Reader
}

// SetupMarks adds the controller that removes marks to mgr.
func SetupMarks(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("eviction-marks").
		For(&v1alpha1.Migration{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(migrationOf)).
		Complete(&marks{client: mgr.GetClient(), live: mgr.GetAPIReader()})
	if err != nil {
		return fmt.Errorf("setting up the controller of eviction marks: %w", err)
	}
	return nil
}

func migrationOf(_ context.Context, pod client.Object) []reconcile.Request {
	name, marked := pod.GetAnnotations()[evictions.EvictionInProgressAnnotationKey]
	if !marked || pod.GetLabels()[v1alpha1.LabelMigratable] == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}}}
}

// Reconcile implements reconcile.Reconciler.
func (r *marks) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	marked, err := r.marked(ctx, req.NamespacedName)
	if err != nil || len(marked) == 0 {
		return reconcile.Result{}, err
	}
	var m v1alpha1.Migration
	// Not from the cache: a Migration that was just created is not in it, and its pod would lose its mark.
	err = r.live.Get(ctx, req.NamespacedName, &m)
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("reading migration %s: %w", req.NamespacedName, err)
	}
	underWay := err == nil && !m.Status.Phase.Ended()
	for i := range marked {
		if underWay && marked[i].UID == m.Spec.Pod.UID {
			continue
		}
		if err := r.unmark(ctx, &marked[i]); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{}, nil
}

func (r *marks) marked(ctx context.Context, migration types.NamespacedName) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := r.client.List(ctx, &pods, client.InNamespace(migration.Namespace), client.HasLabels{v1alpha1.LabelMigratable})
	if err != nil {
		return nil, fmt.Errorf("listing marked pods: %w", err)
	}
	var marked []corev1.Pod
	for _, pod := range pods.Items {
		if name, ok := pod.Annotations[evictions.EvictionInProgressAnnotationKey]; ok && name == migration.Name {
			marked = append(marked, pod)
		}
	}
	return marked, nil
}

func (r *marks) unmark(ctx context.Context, pod *corev1.Pod) error {
	patch, err := marksPatch(pod.UID, nil, nil)
	if err != nil {
		return err
	}
	err = r.client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // another pod has the name by now
	}
	if err != nil {
		return fmt.Errorf("taking the eviction mark off pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
