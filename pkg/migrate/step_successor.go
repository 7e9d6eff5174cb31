package migrate

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// turn makes the stand-in the source of the next leg.
func turn(_ context.Context, r *run) (time.Duration, error) {
	r.m.Status.Source = r.m.Status.Target
	r.nextLeg()
	return 0, nil
}

// nextLeg forgets what belonged to the leg before.
func (r *run) nextLeg() {
	st := &r.m.Status
	st.Leg++
	st.Epoch = 1
	st.Target = v1alpha1.Instance{}
	st.Cut, st.HandOverHeldSince, st.Checkpoint, st.Replay = nil, nil, nil, nil
}

// awaitSuccessor waits until the set has made its pod again and the scheduler has put it on the stand-in's node. However
// long that takes, the stand-in is active.
func awaitSuccessor(ctx context.Context, r *run) (time.Duration, error) {
	origin := r.m.Status.Origin
	wanted, err := r.setWants(ctx, origin)
	if err != nil {
		return 0, err
	}
	if !wanted {
		// As it would have done with the pod itself, the set's owner has removed the instance.
		r.m.Status.Message = fmt.Sprintf("StatefulSet %s does not want pod %s any more: deleting its stand-in", origin.Set, origin.Pod)
		_, err := r.deletePod(ctx, r.m.Status.Source, targetGrace)
		return r.patience(), err
	}
	pod, err := r.successor(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case pod == nil || pod.DeletionTimestamp != nil:
		r.m.Status.Message = fmt.Sprintf("awaiting that StatefulSet %s makes pod %s again", origin.Set, origin.Pod)
	case !r.closed(pod):
		return 0, fmt.Errorf("pod %s was made without the webhook that prepares it", pod.Name)
	case pod.Labels[appsv1.ControllerRevisionHashLabelKey] != origin.Revision:
		r.m.Status.Message = fmt.Sprintf("pod %s is of another revision of StatefulSet %s than the state: delete pod %s to let it start empty, or undo the change of the set and delete pod %s",
			pod.Name, origin.Set, r.m.Status.Source.Pod, pod.Name)
	case pod.Spec.NodeName == "":
		r.m.Status.Message = fmt.Sprintf("awaiting room for pod %s beside its stand-in on node %s%s", pod.Name, r.m.Status.Source.Node, unschedulable(pod))
	default:
		r.m.Status.Target = v1alpha1.Instance{Pod: pod.Name, UID: pod.UID, Node: pod.Spec.NodeName}
		return 0, nil
	}
	return r.patience(), nil
}

// patience is the time to the next look at something that may take long.
func (r *run) patience() time.Duration {
	if r.stepAge() > 10*time.Second {
		return time.Second
	}
	return poll
}

func unschedulable(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
			return ": " + c.Message
		}
	}
	return ""
}

// deleteSuccessor lets the set make the pod once more.
func deleteSuccessor(ctx context.Context, r *run) (time.Duration, error) {
	pod, err := r.successor(ctx)
	if err != nil || pod == nil || !r.closed(pod) {
		return 0, err
	}
	_, err = r.deletePod(ctx, v1alpha1.Instance{Pod: pod.Name, UID: pod.UID}, targetGrace)
	return 0, err
}

// successor reads the pod that has the origin's name now; nil when there is none.
func (r *run) successor(ctx context.Context) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: r.m.Namespace, Name: r.m.Status.Origin.Pod}, pod)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading pod %s: %w", r.m.Status.Origin.Pod, err)
	}
	return pod, nil
}

// closed tells whether the pod was made to take the state of this migration.
func (r *run) closed(pod *corev1.Pod) bool {
	return pod.Labels[v1alpha1.LabelMigration] == r.uid() && pod.Annotations[v1alpha1.AnnotationRestore] != ""
}

// setWants tells whether the set is the one that made the origin and still has a place for it.
func (r *run) setWants(ctx context.Context, origin *v1alpha1.Origin) (bool, error) {
	set := &appsv1.StatefulSet{}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: r.m.Namespace, Name: origin.Set}, set)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading StatefulSet %s: %w", origin.Set, err)
	}
	if set.UID != origin.SetUID || set.DeletionTimestamp != nil {
		return false, nil
	}
	ordinal, err := strconv.Atoi(strings.TrimPrefix(origin.Pod, origin.Set+"-"))
	if err != nil {
		return false, fmt.Errorf("reading the ordinal of pod %s: %w", origin.Pod, err)
	}
	first := 0
	if set.Spec.Ordinals != nil {
		first = int(set.Spec.Ordinals.Start)
	}
	return ordinal >= first && ordinal < first+int(ptr.Deref(set.Spec.Replicas, 1)), nil
}

// Steer prepares a pod that a StatefulSet makes while its state lives in a stand-in: it starts closed, on the stand-in's
// node, to take the state. Other pods it leaves alone.
func Steer(ctx context.Context, api client.Reader, namespace string, pod *corev1.Pod) error {
	set := statefulSetOf(pod)
	if set == nil {
		return nil
	}
	migrations := &v1alpha1.MigrationList{}
	if err := api.List(ctx, migrations, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("looking for a stand-in of pod %s: %w", pod.Name, err)
	}
	for _, m := range migrations.Items {
		o := m.Status.Origin
		if m.Status.StandIn == nil || m.Status.Phase.Ended() || o == nil || o.Pod != pod.Name || o.SetUID != set.UID {
			continue
		}
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Labels[v1alpha1.LabelMigration] = string(m.UID)
		pod.Annotations[v1alpha1.AnnotationRestore] = strings.Join(m.Status.Containers, ",")
		placeOn(&pod.Spec, m.Status.StandIn.Node, "")
	}
	return nil
}
