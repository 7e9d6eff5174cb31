package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/migrate"
	"ms2m.dev/ms2m-descheduler/pkg/placement"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

func addMigrationController(mgr ctrl.Manager, o *options, clientset kubernetes.Interface, certificates *certificates, index *moves.Index) error {
	cluster := placement.NewCluster(clientset, index.UnderWay)
	if err := mgr.Add(cluster); err != nil {
		return fmt.Errorf("adding the placement of targets: %w", err)
	}
	pool := client.NewPool(clientset.CoreV1().Pods(o.namespace), certificates.agentTLS())
	return migrate.SetupWithManager(mgr, agents{pool}, placer{cluster})
}

// placer chooses nodes as the engine wants it.
type placer struct{ cluster *placement.Cluster }

// Place implements migrate.Placer.
func (p placer) Place(ctx context.Context, target, source *corev1.Pod) (node, why string, err error) {
	answer, err := p.cluster.Place(ctx, target, source)
	return answer.Node, answer.String(), err
}

// agents lets the engine find the agents of the installation.
type agents struct{ pool *client.Pool }

// Node implements migrate.Nodes.
func (a agents) Node(ctx context.Context, name string) (migrate.Node, error) {
	c, err := a.pool.Agent(ctx, name)
	if err != nil {
		return nil, err
	}
	return agent{c}, nil
}

// agent is a client of an agent as the engine wants it.
type agent struct{ *client.Client }

var _ migrate.Node = agent{}

// Address implements migrate.Node.
func (a agent) Address() string { return a.Client.Address }

// Gate implements migrate.Node.
func (a agent) Gate(podUID string) migrate.Gate { return a.Client.Gate(podUID) }
