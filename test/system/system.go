package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/cluster"
)

// Namespace of the product.
const Namespace = "ms2m-system"

// poll is the time between two looks at the API for something awaited.
const poll = 100 * time.Millisecond

// System is the product on a cluster.
type System struct {
	Cluster *cluster.Cluster
	API     client.WithWatch
	out     io.Writer
	done    func(context.Context) error
}

// Up installs the product and the broker on a cluster: on the running one that cluster.Env names, else on a new one
// with so many nodes, which Down takes away. Progress is written to out.
func Up(ctx context.Context, nodes int, out io.Writer) (*System, error) {
	s := &System{out: out}
	var err error
	if s.Cluster, s.done, err = cluster.Use(ctx, cluster.Options{Nodes: nodes, Out: out}); err != nil {
		return nil, err
	}
	if err := s.install(ctx); err != nil {
		return nil, errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Down takes away the cluster if Up started it.
func (s *System) Down(ctx context.Context) error { return s.done(ctx) }

func (s *System) install(ctx context.Context) error {
	config, err := s.Cluster.RESTConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("registering types: %w", err)
	}
	if s.API, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	s.Say("Deploying RabbitMQ")
	if err := s.Cluster.DeployRabbitMQ(ctx); err != nil {
		return err
	}
	s.Say("Installing ms2m-descheduler")
	root, err := cluster.ProjectRoot()
	if err != nil {
		return err
	}
	if _, err := s.Cluster.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(root, "manifests")); err != nil {
		return err
	}
	return s.AwaitProduct(ctx)
}

// AwaitProduct waits until the product's pods are ready on every node.
func (s *System) AwaitProduct(ctx context.Context) error {
	return s.await(ctx, "the product's pods", 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		d := &appsv1.Deployment{}
		if err := s.API.Get(ctx, types.NamespacedName{Namespace: Namespace, Name: "ms2m-descheduler"}, d); err != nil {
			return false, "", err
		}
		if d.Status.ObservedGeneration < d.Generation || d.Status.ReadyReplicas < *d.Spec.Replicas || d.Status.UpdatedReplicas < *d.Spec.Replicas {
			return false, fmt.Sprintf("%d of %d replicas of ms2m-descheduler are ready", d.Status.ReadyReplicas, *d.Spec.Replicas), nil
		}
		a := &appsv1.DaemonSet{}
		if err := s.API.Get(ctx, types.NamespacedName{Namespace: Namespace, Name: "ms2m-agent"}, a); err != nil {
			return false, "", err
		}
		want := a.Status.DesiredNumberScheduled
		if a.Status.ObservedGeneration < a.Generation || want == 0 || a.Status.NumberReady < want {
			return false, fmt.Sprintf("%d of %d agents are ready", a.Status.NumberReady, want), nil
		}
		return s.nodesAreReady(ctx, int(want))
	})
}

// nodesAreReady looks for so many nodes that the agents have found ready.
func (s *System) nodesAreReady(ctx context.Context, want int) (bool, string, error) {
	nodes := &corev1.NodeList{}
	if err := s.API.List(ctx, nodes); err != nil {
		return false, "", err
	}
	ready, seen := 0, ""
	for _, n := range nodes.Items {
		if n.Labels[v1alpha1.LabelNodeReady] == "true" {
			ready++
		} else {
			seen += fmt.Sprintf("; node %s: %s", n.Name, n.Annotations[v1alpha1.AnnotationNodeProblems])
		}
	}
	return ready == want, fmt.Sprintf("%d of %d nodes are ready%s", ready, want, seen), nil
}

// Say tells a person what happens.
func (s *System) Say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, "%s  %s\n", time.Now().Format("15:04:05.0"), fmt.Sprintf(format, args...))
}

// await waits for a condition, and when it does not come tells what was last seen instead.
func (s *System) await(ctx context.Context, what string, atMost time.Duration, holds func(context.Context) (bool, string, error)) error {
	var seen string
	var last error
	err := wait.PollUntilContextTimeout(ctx, poll, atMost, true, func(ctx context.Context) (bool, error) {
		ok, now, err := holds(ctx)
		if ctx.Err() == nil { // a look that was cut short has seen nothing
			seen, last = now, err
		}
		return ok && err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("awaiting %s: %w: %s", what, errors.Join(err, last), seen)
	}
	return nil
}

// condition reads a pod's condition.
func condition(pod *corev1.Pod, t corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
