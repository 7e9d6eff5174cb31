package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

//go:embed manifests/system.yaml
var systemManifests string

// downTimeout bounds taking down, which goes on after the caller's context has ended.
const downTimeout = time.Minute

// Cluster is one that runs, or whose remains are to be taken away.
type Cluster struct{ dir string }

// Up builds what is needed and starts a cluster. When it fails or ctx ends, nothing is left but logs.
func Up(ctx context.Context, o Options) (_ *Cluster, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("starting a cluster: namespaces, mounts and links need root; try sudo")
	}
	progress := build.NewProgress(o.Out)
	c := &Cluster{dir: o.Dir}
	if err := c.claim(ctx, progress); err != nil {
		return nil, err
	}
	artifacts, err := build.All(ctx, o.Cache, o.Root, progress)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			progress.Say("Taking the cluster down: %v", err)
			downCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
			defer cancel()
			err = errors.Join(err, c.Down(downCtx))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := c.prepare(ctx, o, artifacts, progress); err != nil {
		return nil, err
	}
	if err := c.boot(ctx, o.Nodes, build.NewProgress(o.Out)); err != nil {
		return nil, err
	}
	return c, c.update(func(s *state) { s.Ready = true })
}

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

// claim makes sure that no other cluster is up, and takes away what a killed harness left.
func (c *Cluster) claim(ctx context.Context, progress *build.Progress) error {
	owner, err := bridgeOwner()
	if err != nil {
		return err
	}
	if owner != "" && owner != c.dir {
		return fmt.Errorf("starting a cluster: one is up in %s; take it down first (one per machine)", owner)
	}
	s, err := c.load()
	if errors.Is(err, fs.ErrNotExist) && owner == "" {
		return nil
	}
	if err == nil && s.Ready && c.ended() == nil {
		return fmt.Errorf("starting a cluster: one is up in %s; take it down first", c.dir)
	}
	progress.Say("Taking away what is left of an earlier cluster in %s", c.dir)
	return c.Down(ctx)
}

// prepare makes everything that has to be there before the first process.
func (c *Cluster) prepare(ctx context.Context, o Options, a *build.Artifacts, progress *build.Progress) error {
	for _, folder := range []string{"bin", "etcd", "images", "logs", "nodes", "pki"} {
		path := filepath.Join(c.dir, folder)
		if err := errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o755)); err != nil {
			return fmt.Errorf("preparing %s: %w", c.dir, err)
		}
	}
	nodeInit := filepath.Join(c.dir, "node-init")
	err := c.update(func(s *state) {
		*s = state{Root: o.Root, Cache: o.Cache.Dir, NodeRoot: a.NodeRoot, NodeInit: nodeInit}
		for _, name := range []string{build.PauseImage, build.CoreDNSImage, build.RabbitMQImage} {
			s.Images = append(s.Images, a.Images[name])
		}
		for i := 1; i <= o.Nodes; i++ {
			s.Nodes = append(s.Nodes, Node{Name: fmt.Sprintf("node%d", i), Index: i})
		}
	})
	if err != nil {
		return err
	}
	for name, path := range a.Programs {
		if err := install(path, c.Bin(name)); err != nil {
			return err
		}
	}
	built := filepath.Join(o.Cache.Dir, "product", build.Hash(o.Root), "node-init")
	err = progress.Step(1, 1, "building the product from "+o.Root, func() error {
		if err := build.GoBuild(ctx, o.Root, "./test/cluster/cmd/node", built); err != nil {
			return err
		}
		if o.WithoutProduct {
			return nil
		}
		_, err := c.buildProduct(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(install(built, nodeInit), c.makePKI(), c.setUpNetwork())
}

// boot starts everything at once and waits until the cluster can be used.
func (c *Cluster) boot(ctx context.Context, nodes int, progress *build.Progress) error {
	list, err := c.Nodes()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	imported := make(chan struct{}, nodes)
	for _, n := range list {
		if err := c.bootNode(n); err != nil {
			return err
		}
		group.Go(func() error {
			if err := c.importAll(ctx, n); err != nil {
				return err
			}
			progress.Event("%s has its images", n.Name)
			imported <- struct{}{}
			return nil
		})
	}
	group.Go(func() error {
		if err := c.startControlPlane(ctx); err != nil {
			return err
		}
		progress.Event("the control plane is up")
		for _, n := range list {
			group.Go(func() error {
				err := c.awaitNode(ctx, n.Name)
				if err == nil {
					progress.Event("%s is Ready", n.Name)
				}
				return err
			})
		}
		if err := c.Apply(ctx, systemManifests); err != nil {
			return err
		}
		err := c.AwaitPods(ctx, "kube-system", "k8s-app=kube-dns", 1)
		if err == nil {
			progress.Event("CoreDNS is ready")
		}
		return err
	})
	return group.Wait()
}

// Down ends the cluster's processes and removes everything of it from the machine but its logs.
func (c *Cluster) Down(ctx context.Context) error {
	s, err := c.load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range s.Nodes {
		thaw(n.Name)
	}
	for _, p := range s.Processes {
		errs = append(errs, p.kill(syscall.SIGKILL))
	}
	for _, p := range s.Processes {
		errs = append(errs, p.awaitEnd(ctx))
	}
	for _, n := range s.Nodes {
		errs = append(errs, removeLink(n.link()), removeCgroups(ctx, n.Name))
	}
	errs = append(errs, tearDownNetwork(s))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("taking the cluster down: %w", err)
	}
	for _, name := range []string{"bin", "etcd", "images", "nodes", "pki", "kubeconfig", "node-init", "state.json"} {
		errs = append(errs, os.RemoveAll(filepath.Join(c.dir, name)))
	}
	errs = append(errs, os.RemoveAll(c.statePath()+".lock"))
	return errors.Join(errs...)
}
