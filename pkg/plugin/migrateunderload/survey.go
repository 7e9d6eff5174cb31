package migrateunderload

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"sigs.k8s.io/descheduler/pkg/api"
	nodeutil "sigs.k8s.io/descheduler/pkg/descheduler/node"
	podutil "sigs.k8s.io/descheduler/pkg/descheduler/pod"
	"sigs.k8s.io/descheduler/pkg/framework/plugins/nodeutilization"
	"sigs.k8s.io/descheduler/pkg/utils"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// survey is the cluster as one cycle sees it.
type survey struct {
	machines []*machine
	nodes    map[string]*corev1.Node
	// on are the pods of each node, as they will be when the moves under way are done.
	on map[string][]*corev1.Pod
	// pods that can be moved, by namespace/name.
	pods map[string]*corev1.Pod
}

// survey looks at the nodes. One whose usage is not known is left out: it neither gives nor takes.
func (p *MigrateUnderLoad) survey(ctx context.Context, nodes []*corev1.Node, usage usage) (*survey, error) {
	s := &survey{nodes: map[string]*corev1.Node{}, on: map[string][]*corev1.Pod{}, pods: map[string]*corev1.Pod{}}
	for _, node := range nodes {
		pods, err := podutil.ListPodsOnANode(node.Name, p.handle.GetPodsAssignedToNodeFunc(), nil)
		if err != nil {
			return nil, fmt.Errorf("listing the pods of node %s: %w", node.Name, err)
		}
		used, err := usage.node(node.Name, pods)
		if err != nil {
			klog.FromContext(ctx).Info("Node is left alone, its usage is not known", "node", klog.KObj(node), "reason", err.Error())
			continue
		}
		s.nodes[node.Name], s.on[node.Name] = node, pods
		m := &machine{name: node.Name, used: loadOf(p.names, used)}
		for _, name := range p.names {
			capacity, threshold := capacity(node, name), p.args.Thresholds[name]
			// Whole units, so that sums of loads are exact.
			m.limit = append(m.limit, math.Floor(capacity*float64(threshold)/100))
			m.goal = append(m.goal, math.Floor(capacity*float64(threshold-*p.args.Margin)/100))
		}
		s.machines = append(s.machines, m)
	}
	return s, nil
}

// capacity of a node for pods; 100 of what Prometheus measures, which is in percent.
func capacity(node *corev1.Node, name corev1.ResourceName) float64 {
	if name == nodeutilization.MetricResource {
		return 100
	}
	q := node.Status.Allocatable[name]
	return amount(name, &q)
}

// addCandidates finds the pods that can be moved off the nodes that give, and what requests of theirs others can take.
func (p *MigrateUnderLoad) addCandidates(ctx context.Context, s *survey, usage usage) error {
	requested := sets.New(corev1.ResourcePods)
	for _, m := range s.machines {
		if !m.gives {
			continue
		}
		for _, pod := range s.on[m.name] {
			if time.Now().Before(p.resting[pod.UID]) || !p.movable(pod) {
				continue
			}
			used, err := usage.pod(ctx, pod)
			if err != nil {
				klog.FromContext(ctx).V(1).Info("Pod is left alone, its usage is not known", "pod", klog.KObj(pod), "reason", err.Error())
				continue
			}
			c := candidate{name: klog.KObj(pod).String(), used: loadOf(p.names, used), cost: cost(memory(pod, used), p.index.ReplayInto(pod.UID))}
			m.pods = append(m.pods, c)
			s.pods[c.name] = pod
			requests, _ := utils.PodRequestsAndLimits(pod)
			requested.Insert(slices.Collect(maps.Keys(requests))...)
		}
	}
	maps.DeleteFunc(p.resting, func(_ types.UID, until time.Time) bool { return !time.Now().Before(until) })
	return s.addRequests(sets.List(requested))
}

// addRequests fills in what candidates request and what nodes have left of it.
func (s *survey) addRequests(names []corev1.ResourceName) error {
	for _, m := range s.machines {
		for i := range m.pods {
			m.pods[i].requests = loadOf(names, requestsOf(s.pods[m.pods[i].name], names))
		}
		if !m.takes || len(s.pods) == 0 {
			continue
		}
		requested, err := requested{names}.node(m.name, s.on[m.name])
		if err != nil {
			return fmt.Errorf("adding up what the pods of node %s request: %w", m.name, err)
		}
		for _, name := range names {
			m.free = append(m.free, capacity(s.nodes[m.name], name)-amount(name, requested[name]))
		}
	}
	return nil
}

// memory of a pod in bytes: as measured, else as requested.
func memory(pod *corev1.Pod, used api.ReferencedResourceList) float64 {
	if q := used[corev1.ResourceMemory]; q != nil && !q.IsZero() {
		return amount(corev1.ResourceMemory, q)
	}
	if q := utils.GetResourceRequestQuantity(pod, corev1.ResourceMemory); !q.IsZero() {
		return amount(corev1.ResourceMemory, &q)
	}
	return unknownBytes
}

// fits asks the descheduler's own check, which knows selectors, taints, anti-affinity and requests, and keeps processes
// on processors of one kind.
func (s *survey) fits(ctx context.Context, podsOf podutil.GetPodsAssignedToNodeFunc) func(pod, from, to string) bool {
	return func(pod, from, to string) bool {
		if s.nodes[from].Labels[v1alpha1.LabelNodeCPU] != s.nodes[to].Labels[v1alpha1.LabelNodeCPU] {
			return false
		}
		return nodeutil.NodeFit(ctx, podsOf, s.pods[pod], s.nodes[to]) == nil
	}
}

// busy are the nodes that pods move from or onto.
func (p *MigrateUnderLoad) busy() sets.Set[string] {
	busy := sets.New[string]()
	pods := p.handle.SharedInformerFactory().Core().V1().Pods().Lister()
	for _, m := range p.index.UnderWay() {
		busy.Insert(m.Status.Source.Node, m.Status.Target.Node, m.Spec.TargetNode)
		if source, err := pods.Pods(m.Namespace).Get(m.Spec.Pod.Name); err == nil {
			busy.Insert(source.Spec.NodeName)
		}
	}
	return busy
}
