package system

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// policy lets LowNodeUtilization look every two seconds at the CPU that pods ask for: a node is too full above 55 %, and
// has room below 45 %.
const policy = `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
profiles:
- name: rebalance
  pluginConfig:
  - name: DefaultEvictor
    args:
      nodeFit: true
  - name: LowNodeUtilization
    args:
      thresholds: {cpu: 45}
      targetThresholds: {cpu: 55}
      evictableNamespaces: {exclude: [kube-system, ms2m-system, rabbitmq, default]}
  plugins:
    balance:
      enabled: [LowNodeUtilization]
`

// drainPolicy empties drained nodes of the pods of one namespace.
const drainPolicy = `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
profiles:
- name: drain
  pluginConfig:
  - name: MigrateFromDrainedNodes
    args:
      namespaces: {include: [%s]}
  plugins:
    deschedule:
      enabled: [MigrateFromDrainedNodes]
`

// nothing is a policy with no strategy.
const nothing = `apiVersion: descheduler/v1alpha2
kind: DeschedulerPolicy
profiles: []
`

const migrationPolicy = `apiVersion: ms2m.dev/v1alpha1
kind: MigrationPolicy
interval: 2s
cooldown: 1m
`

// Rebalance lets the descheduler even out the nodes.
func (s *System) Rebalance(ctx context.Context) error { return s.SetPolicy(ctx, policy) }

// EmptyDrainedNodes lets the descheduler migrate pods of the namespace away from drained nodes.
func (s *System) EmptyDrainedNodes(ctx context.Context, namespace string) error {
	return s.SetPolicy(ctx, fmt.Sprintf(drainPolicy, namespace))
}

// Cordon marks a node as unschedulable, or as schedulable again.
func (s *System) Cordon(ctx context.Context, node string, unschedulable bool) error {
	n := &corev1.Node{}
	n.Name = node
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable))
	if err := s.API.Patch(ctx, n, patch); err != nil {
		return fmt.Errorf("cordoning node %s: %w", node, err)
	}
	return nil
}

// StopRebalancing lets the descheduler rest.
func (s *System) StopRebalancing(ctx context.Context) error { return s.SetPolicy(ctx, nothing) }

// SetPolicy writes the descheduler's part of the policy ConfigMap.
func (s *System) SetPolicy(ctx context.Context, descheduler string) error {
	cm := &corev1.ConfigMap{}
	if err := s.API.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: v1alpha1.PolicyConfigMap}, cm); err != nil {
		return fmt.Errorf("reading policy: %w", err)
	}
	cm.Data = map[string]string{v1alpha1.PolicyKeyDescheduler: descheduler, v1alpha1.PolicyKeyMigration: migrationPolicy}
	if err := s.API.Update(ctx, cm); err != nil {
		return fmt.Errorf("writing policy: %w", err)
	}
	return nil
}

// AwaitPolicy waits until the policy has been looked at and returns what was found.
func (s *System) AwaitPolicy(ctx context.Context, state string) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	err := s.await(ctx, "the policy to be "+state, time.Minute, func(ctx context.Context) (bool, string, error) {
		err := s.API.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: v1alpha1.PolicyConfigMap + "-status"}, cm)
		return cm.Data["state"] == state, fmt.Sprint(cm.Data), client.IgnoreNotFound(err)
	})
	return cm, err
}
