package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// Selector finds the pods of agents.
const Selector = "app.kubernetes.io/name=ms2m-agent"

// fresh is how long the agent of a node is believed to be where it was.
const fresh = 5 * time.Second

// Pods lists the pods of the agents' namespace: clientset.CoreV1().Pods(namespace).
type Pods interface {
	List(ctx context.Context, options metav1.ListOptions) (*corev1.PodList, error)
}

// Pool finds the agents of nodes. Its clients keep their connections.
type Pool struct {
	pods   Pods
	config *tls.Config

	mu      sync.Mutex
	clients map[string]*located // by node
}

type located struct {
	*Client
	seen time.Time
}

// NewPool returns a pool of the agents among pods, called with the configuration; see Identity.
func NewPool(pods Pods, config *tls.Config) *Pool {
	return &Pool{pods: pods, config: config, clients: map[string]*located{}}
}

// Agent returns a client of the agent on the node.
func (p *Pool) Agent(ctx context.Context, node string) (*Client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.clients[node]
	if known != nil && time.Since(known.seen) < fresh {
		return known.Client, nil
	}
	address, err := p.locate(ctx, node)
	if err != nil {
		return nil, err
	}
	if known == nil || known.Address != address {
		if known != nil {
			known.http.CloseIdleConnections()
		}
		known = &located{Client: New(address, p.config)}
		p.clients[node] = known
	}
	known.seen = time.Now()
	return known.Client, nil
}

func (p *Pool) locate(ctx context.Context, node string) (string, error) {
	list, err := p.pods.List(ctx, metav1.ListOptions{
		LabelSelector: Selector,
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	})
	if err != nil {
		return "", fmt.Errorf("finding agent of node %s: %w", node, err)
	}
	for _, pod := range list.Items {
		if pod.Spec.NodeName == node && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" {
			return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(v1alpha1.AgentPort)), nil
		}
	}
	return "", fmt.Errorf("finding agent of node %s: no pod of the DaemonSet ms2m-agent runs there", node)
}
