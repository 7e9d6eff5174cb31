package cluster

import (
	"context"
	_ "embed"
)

// RabbitMQ, as manifests/rabbitmq.yaml deploys it. Passwords are the users' names.
const (
	RabbitMQNamespace = "rabbitmq"
	RabbitMQPod       = "rabbitmq-0"
	// RabbitMQHost resolves in pods. From the host use PodIP.
	RabbitMQHost = "rabbitmq.rabbitmq.svc." + clusterDomain
	// RabbitMQLogUser may touch nothing but the migration logs, RabbitMQAppUser everything else.
	RabbitMQLogUser   = "ms2m"
	RabbitMQAppUser   = "app"
	RabbitMQAdminUser = "admin"
)

//go:embed manifests/rabbitmq.yaml
var rabbitmqManifests string

// DeployRabbitMQ starts the broker and waits until it accepts connections.
func (c *Cluster) DeployRabbitMQ(ctx context.Context) error {
	if err := c.Apply(ctx, rabbitmqManifests); err != nil {
		return err
	}
	return c.AwaitPods(ctx, RabbitMQNamespace, "app=rabbitmq", 1)
}
