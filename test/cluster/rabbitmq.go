package cluster

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/certs"
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
	if err := c.issueRabbitMQ(ctx); err != nil {
		return err
	}
	return c.AwaitPods(ctx, RabbitMQNamespace, "app=rabbitmq", 1)
}

// RabbitMQAuthority is that of the broker's certificate, PEM: the cluster's own.
func (c *Cluster) RabbitMQAuthority() ([]byte, error) {
	ca, err := c.authority()
	if err != nil {
		return nil, err
	}
	return ca.Cert, nil
}

// issueRabbitMQ gives the broker a certificate. One that runs may keep its older one, which is as good.
func (c *Cluster) issueRabbitMQ(ctx context.Context) error {
	ca, err := c.authority()
	if err != nil {
		return err
	}
	pair, err := ca.Issue(certs.Request{CommonName: "rabbitmq", DNSNames: []string{RabbitMQHost}, Usages: serverUsage})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(&corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "rabbitmq-tls", Namespace: RabbitMQNamespace},
		Data:       map[string][]byte{"ca.crt": ca.Cert, "tls.crt": pair.Cert, "tls.key": pair.Key},
	})
	if err != nil {
		return fmt.Errorf("encoding the certificate of RabbitMQ: %w", err)
	}
	return c.Apply(ctx, string(manifest))
}
