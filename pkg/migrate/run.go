package migrate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// poll is the time between two looks at something that announces itself to nobody (a gate, a ticket).
const poll = 50 * time.Millisecond

// run is one migration while the controller has it in hand. Steps read and write m.Status; the controller stores it.
type run struct {
	api   client.Client // reads live, not from a cache: steps decide on what is, not on what was
	nodes Nodes
	// placer is nil where the scheduler chooses.
	placer Placer
	clock  clock.PassiveClock
	m      *v1alpha1.Migration
	// tell people something good, in an event.
	tell func(reason, note string)
}

func (r *run) uid() string { return string(r.m.UID) }

// move names the present leg to gates and agents, for which each leg is a migration of its own.
func (r *run) move() string {
	if r.m.Status.Leg == 0 {
		return r.uid()
	}
	return fmt.Sprintf("%s-%d", r.uid(), r.m.Status.Leg)
}

// command heads a command to a gate, with the epoch that the status has.
func (r *run) command() control.Command {
	return control.Command{Migration: r.move(), Epoch: r.m.Status.Epoch}
}

func (r *run) log() string { return v1alpha1.LogQueue(r.move()) }

func (r *run) source(ctx context.Context) (Node, Gate, error) {
	return r.instance(ctx, r.m.Status.Source)
}
func (r *run) target(ctx context.Context) (Node, Gate, error) {
	return r.instance(ctx, r.m.Status.Target)
}

func (r *run) instance(ctx context.Context, i v1alpha1.Instance) (Node, Gate, error) {
	node, err := r.nodes.Node(ctx, i.Node)
	if err != nil {
		return nil, nil, fmt.Errorf("finding agent of node %s: %w", i.Node, err)
	}
	return node, node.Gate(string(i.UID)), nil
}

// pod reads an instance's pod; nil when it is gone or its name belongs to another pod by now.
func (r *run) pod(ctx context.Context, i v1alpha1.Instance) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	err := r.api.Get(ctx, types.NamespacedName{Namespace: r.m.Namespace, Name: i.Pod}, pod)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading pod %s: %w", i.Pod, err)
	case pod.UID != i.UID:
		return nil, nil
	}
	return pod, nil
}

// deletePod deletes an instance's pod and no other that took its name. It reports whether the pod is gone.
func (r *run) deletePod(ctx context.Context, i v1alpha1.Instance, grace int64) (gone bool, err error) {
	pod, err := r.pod(ctx, i)
	if err != nil || pod == nil {
		return pod == nil, err
	}
	if pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds <= grace {
		return false, nil
	}
	err = r.api.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}, client.GracePeriodSeconds(grace))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return false, fmt.Errorf("deleting pod %s: %w", i.Pod, err)
	}
	return false, nil
}

func (r *run) microNow() metav1.MicroTime { return metav1.NewMicroTime(r.clock.Now()) }
