package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

var errSourceGone = fail("SourceGone", "the source pod is gone")

// candidate is what the checks look at.
type candidate struct {
	m      *v1alpha1.Migration
	pod    *corev1.Pod
	target *corev1.Node // nil when the scheduler chooses
	others []v1alpha1.Migration
	gate   control.Status
}

// A check refuses a candidate with a reason and with words that a person can act on; an empty reason lets it pass.
type check func(c *candidate) (reason, message string)

// accept decides whether the migration may begin, before anything is touched, and notes what it will work on. A refusal
// is a *failure.
func (r *run) accept(ctx context.Context) error {
	c := &candidate{m: r.m, pod: &corev1.Pod{}}
	key := types.NamespacedName{Namespace: r.m.Namespace, Name: r.m.Spec.Pod.Name}
	if err := r.api.Get(ctx, key, c.pod); apierrors.IsNotFound(err) {
		return fail("PodNotFound", "there is no pod %s in namespace %s", key.Name, key.Namespace)
	} else if err != nil {
		return fmt.Errorf("reading pod %s: %w", key.Name, err)
	}
	others := &v1alpha1.MigrationList{}
	if err := r.api.List(ctx, others, client.InNamespace(r.m.Namespace)); err != nil {
		return fmt.Errorf("listing migrations: %w", err)
	}
	c.others = others.Items
	if err := r.findTargetNode(ctx, c); err != nil {
		return err
	}
	if err := c.refusal(podChecks); err != nil {
		return err
	}
	if err := r.observeSource(ctx, c); err != nil {
		return err
	}
	if err := c.refusal(gateChecks); err != nil {
		return err
	}
	r.begin(c)
	return nil
}

func (c *candidate) refusal(checks []check) error {
	for _, check := range checks {
		if reason, message := check(c); reason != "" {
			return &failure{reason: reason, err: errors.New(message)}
		}
	}
	return nil
}

func (r *run) findTargetNode(ctx context.Context, c *candidate) error {
	if r.m.Spec.TargetNode == "" {
		return nil
	}
	c.target = &corev1.Node{}
	err := r.api.Get(ctx, types.NamespacedName{Name: r.m.Spec.TargetNode}, c.target)
	if apierrors.IsNotFound(err) {
		return fail("NodeNotFound", "there is no node %s", r.m.Spec.TargetNode)
	}
	if err != nil {
		return fmt.Errorf("reading node %s: %w", r.m.Spec.TargetNode, err)
	}
	if _, err := r.prepared(ctx, r.m.Spec.TargetNode); err != nil {
		return fail("TargetNodeNotPrepared", "node %s cannot be a target: %w", r.m.Spec.TargetNode, err)
	}
	return nil
}

// prepared returns the agent of a node that has what a migration needs.
func (r *run) prepared(ctx context.Context, name string) (Node, error) {
	node, err := r.nodes.Node(ctx, name)
	if err != nil {
		return nil, err
	}
	found, err := node.Node(ctx)
	if err != nil {
		return nil, err
	}
	if len(found.Problems) > 0 {
		return nil, errors.New(strings.Join(found.Problems, "; "))
	}
	return node, nil
}

func (r *run) observeSource(ctx context.Context, c *candidate) error {
	node, err := r.prepared(ctx, c.pod.Spec.NodeName)
	if err != nil {
		return fail("SourceNodeNotPrepared", "node %s cannot be a source: %w", c.pod.Spec.NodeName, err)
	}
	if c.gate, err = node.Gate(string(c.pod.UID)).Inspect(ctx); err != nil {
		return fmt.Errorf("reading the gate of pod %s: %w", c.pod.Name, err)
	}
	if c.gate.Consumers == 0 && len(c.gate.Refusals) == 0 && r.clock.Now().Sub(r.m.CreationTimestamp.Time) < consumerBound {
		return fmt.Errorf("awaiting a consumer of pod %s", c.pod.Name)
	}
	return nil
}

// consumerBound is how long an app that has just started, or lost its connection, is given to subscribe.
const consumerBound = 15 * time.Second

// begin notes in the status what the steps work on.
func (r *run) begin(c *candidate) {
	st := &r.m.Status
	now := r.microNow()
	st.StartTime = &now
	st.Epoch = 1
	st.Strategy = strategyFor(c.pod)
	st.Source = v1alpha1.Instance{Pod: c.pod.Name, UID: c.pod.UID, Node: c.pod.Spec.NodeName}
	if replicaSetOf(c.pod) != nil {
		st.Source.TemplateHash = c.pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		if cost, ok := c.pod.Annotations[corev1.PodDeletionCost]; ok {
			st.Source.DeletionCost = &cost
		}
	}
	if set := statefulSetOf(c.pod); set != nil {
		st.Origin = &v1alpha1.Origin{
			Instance: st.Source, Set: set.Name, SetUID: set.UID, Revision: c.pod.Labels[appsv1.ControllerRevisionHashLabelKey],
		}
	}
	st.Containers = nil
	for _, container := range c.pod.Spec.Containers {
		st.Containers = append(st.Containers, container.Name)
	}
}

// strategyFor is the strategy that the owner of the pod needs.
func strategyFor(pod *corev1.Pod) v1alpha1.Strategy {
	if statefulSetOf(pod) != nil {
		return v1alpha1.StrategyIdentitySwap
	}
	return v1alpha1.StrategyShadow
}
