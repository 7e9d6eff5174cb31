package migrate

import (
	"context"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// Nodes finds the agents of nodes.
type Nodes interface {
	// Node returns the agent of the named node, or an error that tells people why there is none.
	Node(ctx context.Context, name string) (Node, error)
}

// Node is what the engine asks of the agent of one node. Every call is idempotent.
type Node interface {
	// Address under which other agents reach this one.
	Address() string
	Gate(podUID string) Gate
	// Node tells what keeps the node from being source or target.
	Node(ctx context.Context) (client.Node, error)
	Checkpoint(ctx context.Context, r client.CheckpointRequest) (client.Checkpoint, error)
	DeleteCheckpoints(ctx context.Context, migration string) error
	Deliver(ctx context.Context, r client.DeliveryRequest) (client.Delivery, error)
	PutTicket(ctx context.Context, migration, podUID, container string) (client.Ticket, error)
	GetTicket(ctx context.Context, podUID, container string) (client.Ticket, error)
	CommitTicket(ctx context.Context, podUID, container string) (client.Ticket, error)
	DeleteTicket(ctx context.Context, podUID, container string) error
}

// Gate is what the engine asks of a pod's gate. Refusals are *control.Error.
type Gate interface {
	Status(ctx context.Context) (control.Status, error)
	// Inspect is the status once the broker has been asked what queues the app consumes.
	Inspect(ctx context.Context) (control.Status, error)
	Hold(ctx context.Context, r control.HoldRequest) (control.Cut, error)
	Release(ctx context.Context, r control.ReleaseRequest) error
	HandOver(ctx context.Context, r control.Command) error
	Resume(ctx context.Context, r control.Command) error
	Fence(ctx context.Context, r control.Command) error
	Replay(ctx context.Context, r control.ReplayRequest) error
	Commit(ctx context.Context, r control.Command) error
}

var _ Gate = &control.Client{}
