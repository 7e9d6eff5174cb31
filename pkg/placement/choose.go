package placement

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Question is where a pod is to go.
type Question struct {
	// Pod to place; the node that it names is of no account.
	Pod *corev1.Pod
	// Source is the pod whose place becomes free, nil when there is none. Its node is not chosen.
	Source *corev1.Pod
	// SourceStays lets the source count where it is, as it does for the scheduler until the move is done.
	SourceStays bool
	// Nodes to choose from.
	Nodes []*corev1.Node
	// Pods of these nodes as they will be: After makes them of the pods that there are.
	Pods []*corev1.Pod
}

// Answer is the node and why it is none of the others.
type Answer struct {
	// Node that was chosen; empty when no node can take the pod.
	Node string
	// Against holds the reason against each of the other nodes.
	Against map[string]string
	// fitting are the nodes that can take the pod.
	fitting sets.Set[string]
}

func (a Answer) fits(node string) bool { return a.fitting.Has(node) }

// String tells the answer to people, in one line.
func (a Answer) String() string {
	var b strings.Builder
	if a.Node == "" {
		b.WriteString("no node can take the pod")
	} else {
		fmt.Fprintf(&b, "node %s is the best", a.Node)
	}
	for i, node := range slices.Sorted(maps.Keys(a.Against)) {
		fmt.Fprintf(&b, "%s%s: %s", map[bool]string{true: "; ", false: ", "}[i == 0], node, a.Against[node])
	}
	return b.String()
}

// Choose answers the question. An error means that the scheduler's plugins failed, not that no node fits.
func (s *Scheduler) Choose(ctx context.Context, q Question) (Answer, error) {
	pod := q.Pod.DeepCopy()
	pod.Spec.NodeName = ""
	s.mu.Lock()
	defer s.mu.Unlock()
	pods := q.Pods
	if !q.SourceStays {
		pods = without(pods, q.Source)
	}
	s.asked.Snapshot = cache.NewSnapshot(pods, q.Nodes)

	state := framework.NewCycleState()
	answer := Answer{Against: map[string]string{}, fitting: sets.New[string]()}
	fitting, err := s.filter(ctx, state, pod, q, answer.Against)
	if err != nil || len(fitting) == 0 {
		return answer, err
	}
	for _, node := range fitting {
		answer.fitting.Insert(node.Node().Name)
	}
	scores, err := s.score(ctx, state, pod, fitting)
	if err != nil {
		return answer, err
	}
	answer.Node = scores[0].Name
	for _, other := range scores[1:] {
		answer.Against[other.Name] = fmt.Sprintf("scores %d, node %s scores %d", other.TotalScore, answer.Node, scores[0].TotalScore)
	}
	return answer, nil
}

// filter returns the nodes that can take the pod and notes why the others cannot.
func (s *Scheduler) filter(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, q Question, against map[string]string) ([]fwk.NodeInfo, error) {
	candidates, err := s.asked.List()
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	only, status, by := s.framework.RunPreFilterPlugins(ctx, state, pod)
	if !status.IsSuccess() && !status.IsRejected() {
		return nil, fmt.Errorf("running the scheduler's filters: %w", status.AsError())
	}
	var fitting []fwk.NodeInfo
	for _, node := range candidates {
		name := node.Node().Name
		switch {
		case q.Source != nil && name == q.Source.Spec.NodeName:
			against[name] = "the pod is on it already"
		case !status.IsSuccess():
			against[name] = status.Message()
		case !only.AllNodes() && !only.NodeNames.Has(name):
			against[name] = fmt.Sprintf("ruled out by %s", strings.Join(sets.List(by), ", "))
		default:
			switch fits := s.framework.RunFilterPlugins(ctx, state, pod, node); {
			case fits.IsSuccess():
				fitting = append(fitting, node)
			case fits.IsRejected():
				against[name] = fits.Message()
			default:
				return nil, fmt.Errorf("running the scheduler's filters on node %s: %w", name, fits.AsError())
			}
		}
	}
	return fitting, nil
}

// score orders nodes, the best first, and those that are equal by name.
func (s *Scheduler) score(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]fwk.NodePluginScores, error) {
	if status := s.framework.RunPreScorePlugins(ctx, state, pod, nodes); !status.IsSuccess() {
		return nil, fmt.Errorf("preparing the scheduler's scores: %w", status.AsError())
	}
	scores, status := s.framework.RunScorePlugins(ctx, state, pod, nodes)
	if !status.IsSuccess() {
		return nil, fmt.Errorf("running the scheduler's scores: %w", status.AsError())
	}
	slices.SortFunc(scores, func(a, b fwk.NodePluginScores) int {
		return cmp.Or(cmp.Compare(b.TotalScore, a.TotalScore), cmp.Compare(a.Name, b.Name))
	})
	return scores, nil
}

func without(pods []*corev1.Pod, left *corev1.Pod) []*corev1.Pod {
	if left == nil {
		return pods
	}
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.UID == left.UID })
}
