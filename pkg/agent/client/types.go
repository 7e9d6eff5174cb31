// Package client is the agent's API: what the migration controller asks of the agent of a node, over mutual TLS.
// Commands to a pod's gate pass through the agent unchanged (package pkg/gate/control).
package client

import (
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

// Paths of the agent's API.
const (
	// PathGate + POD-UID + a path of the gate's control API.
	PathGate = "/v1/gates/" // {podUID}/v1/...
	// PathCheckpoints: POST CheckpointRequest answers Checkpoint; DELETE /{migration} removes its archives.
	PathCheckpoints = "/v1/checkpoints"
	// PathDeliveries: POST DeliveryRequest answers Delivery.
	PathDeliveries = "/v1/deliveries"
	// PathTickets: PUT, GET, DELETE {podUID}/{container}; POST {podUID}/{container}/commit.
	PathTickets = "/v1/tickets"
	// PathArchives: POST {podUID}/{container}; agents only. The body is the archive, the trailer Digest its sha256.
	PathArchives = "/v1/archives"
	// PathNode: GET answers Node.
	PathNode = "/v1/node"
)

// CheckpointRequest asks for a checkpoint of one container. Asked again for the same migration, pod and container, the
// agent answers with the checkpoint that it has.
type CheckpointRequest struct {
	Migration string `json:"migration"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	PodUID    string `json:"podUID"`
	Container string `json:"container"`
}

// Checkpoint that lies on the source's node.
type Checkpoint struct {
	// Bytes of the archive.
	Bytes    int64     `json:"bytes"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
}

// DeliveryRequest asks the source's agent to stream a checkpoint to the target's agent. Asked again after it succeeded,
// it answers with the first result; after a broken connection the archive is sent again whole.
type DeliveryRequest struct {
	Migration string `json:"migration"`
	Container string `json:"container"`
	// SourceUID is the UID of the pod that was checkpointed, TargetUID that of the pod whose ticket takes it.
	SourceUID string `json:"sourceUID"`
	TargetUID string `json:"targetUID"`
	// Address of the target's agent, host:port.
	Address string `json:"address"`
}

// Delivery that the target's agent has acknowledged, digest verified.
type Delivery struct {
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"`
}

// Ticket as the agent reports it, with what it knows of the container.
type Ticket struct {
	fcc.Ticket
	// Restarts of the container in the pod's status; 0 while the pod has none.
	Restarts int32 `json:"restarts,omitempty"`
}

// Node tells what an agent found on its node.
type Node struct {
	Name string `json:"name"`
	// Runc, CRIU and Kernel are the versions that the runtime wrapper found; empty before it has run.
	Runc   string `json:"runc,omitempty"`
	CRIU   string `json:"criu,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	// CPU are the features of the node's processors that programs may depend on, CPUClass a name for that set.
	CPU      []string `json:"cpu,omitempty"`
	CPUClass string   `json:"cpuClass,omitempty"`
	// Problems that keep the node from being a source or a target, in words for people; empty when it is ready.
	Problems []string `json:"problems,omitempty"`
}
