package placement

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	"k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// initMetrics makes the metrics that the scheduler's plugins count in. Nobody gathers them.
var initMetrics = sync.OnceFunc(metrics.InitMetrics)

// Scheduler chooses nodes. It answers one question at a time.
type Scheduler struct {
	mu        sync.Mutex
	framework framework.Framework
	// asked is the snapshot of the question that is being answered.
	asked *asked
}

// New builds a Scheduler that lives until ctx ends. Its plugins read volumes, namespaces and workloads through factory,
// which is to be started after New, and asked only once its informers have synced.
func New(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) (*Scheduler, error) {
	initMetrics()
	defaults, err := latest.Default()
	if err != nil {
		return nil, fmt.Errorf("reading the scheduler's defaults: %w", err)
	}
	profile := defaults.Profiles[0]
	leftOut := []string{names.DefaultPreemption, names.DynamicResources}
	profile.Plugins.MultiPoint.Enabled = slices.DeleteFunc(profile.Plugins.MultiPoint.Enabled, func(p config.Plugin) bool {
		return slices.Contains(leftOut, p.Name)
	})
	s := &Scheduler{asked: &asked{}}
	s.framework, err = runtime.NewFramework(ctx, plugins.NewInTreeRegistry(), &profile,
		runtime.WithClientSet(client),
		runtime.WithInformerFactory(factory),
		runtime.WithSnapshotSharedLister(s.asked),
		runtime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(factory.Storage().V1().CSINodes().Lister())),
	)
	if err != nil {
		return nil, fmt.Errorf("building the scheduler's framework: %w", err)
	}
	return s, nil
}
