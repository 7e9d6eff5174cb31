package cluster

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// Cluster is one that runs, or whose remains are to be taken away.
type Cluster struct{ dir string }

// Build only builds what a cluster needs, into the default cache.
func Build(ctx context.Context, progress *build.Progress) error {
	var o Options
	if err := o.complete(); err != nil {
		return err
	}
	_, err := build.All(ctx, o.Cache, o.Root, progress)
	return err
}

// Attach finds the cluster that runs in dir, "" for the project's default.
func Attach(dir string) (*Cluster, error) {
	c, err := find(dir)
	if err != nil {
		return nil, err
	}
	s, err := c.load()
	if err != nil || !s.Ready {
		return nil, fmt.Errorf("finding a cluster in %s: none is up; start it with: make cluster-up", c.dir)
	}
	if err := c.ended(); err != nil {
		return nil, fmt.Errorf("using the cluster in %s: %w", c.dir, err)
	}
	return c, nil
}

// Down takes away the cluster in dir or what a killed harness left of it. Doing it twice is no error.
func Down(ctx context.Context, dir string) error {
	c, err := find(dir)
	if err != nil {
		return err
	}
	return c.Down(ctx)
}

func find(dir string) (*Cluster, error) {
	if dir == "" {
		var err error
		if dir, err = DefaultDir(); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	return &Cluster{dir: dir}, err
}

// Dir holds the cluster's files: kubeconfig, logs, bin.
func (c *Cluster) Dir() string { return c.dir }

// Kubeconfig is the path of the administrator's.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// Bin is the path of a program of the cluster, such as kubectl.
func (c *Cluster) Bin(name string) string { return filepath.Join(c.dir, "bin", name) }

// RESTConfig is the administrator's.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 200, 400
	return config, nil
}

func (c *Cluster) client() (*kubernetes.Clientset, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// Nodes of the cluster, running or killed, by index.
func (c *Cluster) Nodes() ([]Node, error) {
	nodes, err := c.nodes()
	slices.SortFunc(nodes, func(a, b Node) int { return a.Index - b.Index })
	return nodes, err
}

// PodIP is the pod's address; the host has routes to pods, not to Services.
func (c *Cluster) PodIP(ctx context.Context, namespace, name string) (string, error) {
	client, err := c.client()
	if err != nil {
		return "", err
	}
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("looking up pod %s/%s: %w", namespace, name, err)
	}
	if pod.Status.PodIP == "" {
		return "", fmt.Errorf("looking up pod %s/%s: it has no address yet", namespace, name)
	}
	return pod.Status.PodIP, nil
}

// AwaitPods waits until there are n pods with the label selector and all are Ready.
func (c *Cluster) AwaitPods(ctx context.Context, namespace, selector string, n int) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d ready pods %s in %s", n, selector, namespace)
	return poll(ctx, what, func(ctx context.Context) (bool, error) {
		if err := c.ended(); err != nil {
			return false, err
		}
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return false, nil //nolint:nilerr // the API server may be busy
		}
		return len(pods.Items) == n && !slices.ContainsFunc(pods.Items, notReady), nil
	})
}

func notReady(pod corev1.Pod) bool {
	return !slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}

// ended is an error when one of the cluster's processes has ended that should not have.
func (c *Cluster) ended() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	for name, p := range s.Processes {
		isNode := slices.ContainsFunc(s.Nodes, func(n Node) bool { return n.Name == name })
		if !isNode && !p.alive() {
			return fmt.Errorf("%s has ended, see %s", name, filepath.Join(c.dir, "logs", name+".log"))
		}
	}
	return nil
}

// running tells whether any process of the cluster still runs.
func (c *Cluster) running() bool {
	s, err := c.load()
	known := slices.Collect(maps.Values(s.Processes))
	return err == nil && slices.ContainsFunc(known, process.alive) || len(c.controlPlane()) > 0
}
