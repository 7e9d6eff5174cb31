package system

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Programs that can be killed, as they are named in their images.
const (
	ProgramController = "/ms2m-descheduler"
	ProgramAgent      = "/ms2m-agent"
	ProgramGate       = "/ms2m-gate"
	ProgramLedger     = "/ledger"
	// ProgramBroker is a pattern: its folder has a version.
	ProgramBroker = "/usr/lib/erlang/erts-[^/]*/bin/beam.smp"
)

// Leader is the identity of the process that leads the migration controller, empty if none does.
func (s *System) Leader(ctx context.Context) (string, error) {
	lease := &coordinationv1.Lease{}
	if err := s.API.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: "ms2m-controller"}, lease); err != nil {
		return "", fmt.Errorf("reading the controller's lease: %w", err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, ""), nil
}

// AwaitLeaderAfter waits until another process leads than the one before.
func (s *System) AwaitLeaderAfter(ctx context.Context, before string) error {
	return s.await(ctx, "another leader of the controller", time.Minute, func(ctx context.Context) (bool, string, error) {
		now, err := s.Leader(ctx)
		return now != "" && now != before, now, err
	})
}

// KillController kills the replica that leads the migration controller.
func (s *System) KillController(ctx context.Context) error {
	identity, err := s.Leader(ctx)
	if err != nil {
		return err
	}
	leader, _, _ := strings.Cut(identity, "_")
	pod := &corev1.Pod{}
	if err := s.API.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: leader}, pod); err != nil {
		return fmt.Errorf("finding the leading controller: %w", err)
	}
	return s.KillInPod(ctx, pod, ProgramController)
}

// KillInPod kills, without notice, the processes of a program in one pod.
func (s *System) KillInPod(ctx context.Context, pod *corev1.Pod, program string) error {
	return s.killWhen(ctx, "true", pod, program)
}

// KillOnceFrozen kills a program as soon as a container of its node is frozen, as it is for a checkpoint.
func (s *System) KillOnceFrozen(ctx context.Context, pod *corev1.Pod, program string) error {
	const frozen = "/opt/bin/runc --root /run/containerd/runc/k8s.io list | grep -qw paused"
	return s.killWhen(ctx, frozen, pod, program)
}

// killWhen waits, for some seconds, until a shell command on the pod's node succeeds.
func (s *System) killWhen(ctx context.Context, condition string, pod *corev1.Pod, program string) error {
	// The cgroup of a process names its pod.
	script := fmt.Sprintf(`i=0; until %s; do i=$((i+1)); [ $i -lt 300 ] || exit 3; done
		killed=1; for p in $(pgrep -f '^%s( |$)'); do grep -q '%s' /proc/$p/cgroup && kill -KILL $p && killed=0; done; exit $killed`,
		condition, program, pod.UID)
	if out, err := s.Cluster.NodeExec(ctx, pod.Spec.NodeName, "sh", "-c", script); err != nil {
		return fmt.Errorf("killing %s of pod %s: %w %s", program, pod.Name, err, out)
	}
	s.Say("Killed %s of pod %s on %s", program, pod.Name, pod.Spec.NodeName)
	return nil
}

// AgentOn returns the agent's pod of a node.
func (s *System) AgentOn(ctx context.Context, node string) (*corev1.Pod, error) {
	pods := &corev1.PodList{}
	err := s.API.List(ctx, pods, client.InNamespace(Namespace), client.MatchingLabels{"app.kubernetes.io/name": "ms2m-agent"})
	if err != nil {
		return nil, fmt.Errorf("listing agents: %w", err)
	}
	for i, p := range pods.Items {
		if p.Spec.NodeName == node {
			return &pods.Items[i], nil
		}
	}
	return nil, fmt.Errorf("no agent runs on node %s", node)
}

// Leftovers tells what ended migrations have left behind: log queues and archives, which hold messages and memory. A
// ticket without its archive stays until the agent's janitor has seen its pod gone for a while.
func (s *System) Leftovers(ctx context.Context) error {
	return s.await(ctx, "migrations to leave nothing behind", time.Minute, func(ctx context.Context) (bool, string, error) {
		var left []string
		queues, err := s.Rabbitmqctl(ctx, "list_queues", "name", "--no-table-headers")
		if err != nil {
			return false, "", err
		}
		for q := range strings.Lines(queues) {
			if strings.HasPrefix(q, "ms2m.") {
				left = append(left, "queue "+strings.TrimSpace(q))
			}
		}
		nodes, err := s.Cluster.Nodes()
		if err != nil {
			return false, "", err
		}
		for _, n := range nodes {
			const find = `find /var/lib/kubelet/checkpoints -name '*ledger*' 2>/dev/null
				find /var/lib/ms2m/checkpoints /var/lib/ms2m/tickets -path '*/ledger*' -type f ! -name ticket.json ! -name '*.lock' 2>/dev/null
				true`
			files, err := s.Cluster.NodeExec(ctx, n.Name, "sh", "-c", find)
			if err != nil {
				return false, "", err
			}
			if files = strings.TrimSpace(files); files != "" {
				left = append(left, n.Name+": "+files)
			}
		}
		return len(left) == 0, strings.Join(left, ", "), nil
	})
}
