package chaos

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/cluster"
	"ms2m.dev/ms2m-descheduler/test/system"
)

// Fault that can befall a migration under way.
type Fault struct {
	Name string
	// Strike does the damage at once. It fails when there is nothing to be damaged: it came too early or too late.
	Strike func(context.Context, *system.System, *v1alpha1.Migration) error
	// Mend the damage, which lasts for some seconds; nil if Kubernetes mends it.
	Mend func(context.Context, *system.System, *v1alpha1.Migration) error
	// Deadly faults can end the process that holds the state, and with it the state, as they would without a migration.
	Deadly bool
}

// Faults of all kinds. Names are those of the report.
var Faults = []Fault{
	{Name: "controller killed", Strike: func(ctx context.Context, s *system.System, _ *v1alpha1.Migration) error {
		return s.KillController(ctx)
	}},
	{Name: "controller killed twice", Strike: killControllerTwice},
	{Name: "source's agent killed", Strike: killAgent(source)},
	{Name: "target's agent killed", Strike: killAgent(target)},
	{Name: "source's gate killed", Strike: kill(source, system.ProgramGate)},
	{Name: "target's gate killed", Strike: kill(target, system.ProgramGate)},
	{Name: "source's app killed", Strike: kill(source, system.ProgramLedger), Deadly: true},
	{Name: "target's app killed", Strike: kill(target, system.ProgramLedger), Deadly: true},
	{Name: "runtime wrapper killed", Strike: killWrapper},
	{Name: "broker killed", Strike: killBroker},
	{Name: "source's node cut off", Strike: disconnect(source), Mend: reconnect(source)},
	{Name: "target's node cut off", Strike: disconnect(target), Mend: reconnect(target)},
	{Name: "source's node stopped", Strike: stopNode(source), Mend: startNode(source), Deadly: true},
	{Name: "target's node stopped", Strike: stopNode(target), Mend: startNode(target), Deadly: true},
	{Name: "target's link slow", Strike: slowTarget, Mend: quickenTarget},
	{Name: "migration deleted", Strike: func(ctx context.Context, s *system.System, m *v1alpha1.Migration) error {
		return client.IgnoreNotFound(s.API.Delete(ctx, m))
	}},
}

// A side of a migration.
type side func(*v1alpha1.Migration) v1alpha1.Instance

func source(m *v1alpha1.Migration) v1alpha1.Instance { return m.Status.Source }
func target(m *v1alpha1.Migration) v1alpha1.Instance { return m.Status.Target }

type action = func(context.Context, *system.System, *v1alpha1.Migration) error

func kill(of side, program string) action {
	return func(ctx context.Context, s *system.System, m *v1alpha1.Migration) error {
		pod := &corev1.Pod{}
		if err := s.API.Get(ctx, types.NamespacedName{Namespace: m.Namespace, Name: of(m).Pod}, pod); err != nil {
			return err
		}
		return s.KillInPod(ctx, pod, program)
	}
}

func killAgent(of side) action {
	return func(ctx context.Context, s *system.System, m *v1alpha1.Migration) error {
		pod, err := s.AgentOn(ctx, of(m).Node)
		if err != nil {
			return err
		}
		return s.KillInPod(ctx, pod, system.ProgramAgent)
	}
}

// killControllerTwice kills the controller, and its successor as soon as there is one.
func killControllerTwice(ctx context.Context, s *system.System, _ *v1alpha1.Migration) error {
	before, err := s.Leader(ctx)
	if err != nil {
		return err
	}
	if err := s.KillController(ctx); err != nil {
		return err
	}
	if err := s.AwaitLeaderAfter(ctx, before); err != nil {
		return err
	}
	return s.KillController(ctx)
}

// killWrapper kills what waits to restore the target, or is about to.
func killWrapper(ctx context.Context, s *system.System, m *v1alpha1.Migration) error {
	if out, err := s.Cluster.NodeExec(ctx, target(m).Node, "pkill", "-KILL", "-f", "ms2m-runc .* create "); err != nil {
		return fmt.Errorf("killing the runtime wrapper: %w %s", err, out)
	}
	return nil
}

func killBroker(ctx context.Context, s *system.System, _ *v1alpha1.Migration) error {
	pod := &corev1.Pod{}
	name := types.NamespacedName{Namespace: cluster.RabbitMQNamespace, Name: cluster.RabbitMQPod}
	if err := s.API.Get(ctx, name, pod); err != nil {
		return err
	}
	return s.KillInPod(ctx, pod, system.ProgramBroker)
}

func disconnect(of side) action {
	return func(_ context.Context, s *system.System, m *v1alpha1.Migration) error {
		return s.Cluster.DisconnectNode(of(m).Node)
	}
}

func reconnect(of side) action {
	return func(_ context.Context, s *system.System, m *v1alpha1.Migration) error {
		return s.Cluster.ReconnectNode(of(m).Node)
	}
}

// stopNode cuts a node's power. The broker's is spared: its pod's messages are on its node's disk, but its address, which
// the producers use, is the pod's.
func stopNode(of side) action {
	return func(ctx context.Context, s *system.System, m *v1alpha1.Migration) error {
		broker := &corev1.Pod{}
		name := types.NamespacedName{Namespace: cluster.RabbitMQNamespace, Name: cluster.RabbitMQPod}
		if err := s.API.Get(ctx, name, broker); err != nil {
			return err
		}
		if broker.Spec.NodeName == of(m).Node {
			return fmt.Errorf("node %s has the broker", broker.Spec.NodeName)
		}
		return s.Cluster.KillNode(ctx, of(m).Node)
	}
}

func startNode(of side) action {
	return func(ctx context.Context, s *system.System, m *v1alpha1.Migration) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()
		if err := s.Cluster.StartNode(ctx, of(m).Node); err != nil {
			return err
		}
		return s.AwaitProduct(ctx)
	}
}

// slowBytesPerSecond lets an archive of 64 MiB take longer than all the rest.
const slowBytesPerSecond = 4 << 20

func slowTarget(_ context.Context, s *system.System, m *v1alpha1.Migration) error {
	return s.Cluster.SlowNode(target(m).Node, slowBytesPerSecond)
}

func quickenTarget(_ context.Context, s *system.System, m *v1alpha1.Migration) error {
	return s.Cluster.QuickenNode(target(m).Node)
}
