package placement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// ErrNotReady means that the cluster has not been read yet, as just after a start.
var ErrNotReady = errors.New("the cluster has not been read yet")

// Cluster answers for the cluster as it is. It reads what the scheduler reads.
type Cluster struct {
	client kubernetes.Interface
	// underWay are the migrations that have not ended.
	underWay func() []*v1alpha1.Migration
	started  atomic.Pointer[running]
}

type running struct {
	scheduler *Scheduler
	factory   informers.SharedInformerFactory
}

// NewCluster reads nothing before Start.
func NewCluster(client kubernetes.Interface, underWay func() []*v1alpha1.Migration) *Cluster {
	return &Cluster{client: client, underWay: underWay}
}

// Start watches until ctx ends.
func (c *Cluster) Start(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithTransform(withoutManagedFields))
	defer factory.Shutdown()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	scheduler, err := New(ctx, c.client, factory)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for informer, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced && ctx.Err() == nil {
			return fmt.Errorf("reading %s for placements", informer)
		}
	}
	if ctx.Err() == nil {
		slog.InfoContext(ctx, "Placements begin")
		c.started.Store(&running{scheduler: scheduler, factory: factory})
	}
	<-ctx.Done()
	c.started.Store(nil)
	return nil
}

// Place chooses the node for the pod that is to take the place of source. The scheduler, which has the last word, sees the
// source where it is until the move is done; so when it would not have the node that is best without the source, the
// best with the source is chosen.
func (c *Cluster) Place(ctx context.Context, pod, source *corev1.Pod) (Answer, error) {
	running := c.started.Load()
	if running == nil {
		return Answer{}, ErrNotReady
	}
	nodes, err := running.factory.Core().V1().Nodes().Lister().List(labels.Everything())
	if err != nil {
		return Answer{}, fmt.Errorf("listing nodes: %w", err)
	}
	pods, err := running.factory.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return Answer{}, fmt.Errorf("listing pods: %w", err)
	}
	// The migration that asks is itself under way, and its source is to stay where it is.
	others := c.others(source)
	q := Question{Pod: pod, Source: source, Nodes: nodes, Pods: After(pods, others)}
	best, err := running.scheduler.Choose(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	q.SourceStays = true
	now, err := running.scheduler.Choose(ctx, q)
	if err != nil || now.fits(best.Node) {
		return best, err
	}
	return now, nil
}

// withoutManagedFields saves memory.
func withoutManagedFields(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

// others are the migrations under way of other pods than source.
func (c *Cluster) others(source *corev1.Pod) (others []*v1alpha1.Migration) {
	for _, m := range c.underWay() {
		if m.SourceUID() != source.UID {
			others = append(others, m)
		}
	}
	return others
}
