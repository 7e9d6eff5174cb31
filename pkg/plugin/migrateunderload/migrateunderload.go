package migrateunderload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	podutil "sigs.k8s.io/descheduler/pkg/descheduler/pod"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// PluginName by which policies name the plugin.
const PluginName = "MigrateUnderLoad"

// MigrateUnderLoad relieves nodes that have been above a threshold for some cycles, by migrating the pods that do it at
// the least predicted cost to nodes that stay below theirs. It ends no pod.
type MigrateUnderLoad struct {
	logger klog.Logger
	handle frameworktypes.Handle
	args   *MigrateUnderLoadArgs
	// names of the resources that have a threshold, in the order of loads.
	names []corev1.ResourceName
	// movable are the pods that the policy lets the plugin choose from.
	movable podutil.FilterFunc
	index   *moves.Index
	calm    calm
	// resting are pods that are not to be moved again before a time.
	resting map[types.UID]time.Time
	report  *report
}

var _ frameworktypes.BalancePlugin = &MigrateUnderLoad{}

// New builds the plugin from its arguments.
func New(ctx context.Context, obj runtime.Object, handle frameworktypes.Handle, index *moves.Index, recorder events.EventRecorder) (*MigrateUnderLoad, error) {
	args, ok := obj.(*MigrateUnderLoadArgs)
	if !ok {
		return nil, fmt.Errorf("want args to be of type MigrateUnderLoadArgs, got %T", obj)
	}
	evictor := handle.Evictor()
	options := podutil.NewOptions().WithFilter(podutil.WrapFilterFuncs(moves.Migratable, evictor.Filter, evictor.PreEvictionFilter))
	if args.EvictableNamespaces != nil {
		options.WithoutNamespaces(sets.New(args.EvictableNamespaces.Exclude...))
	}
	movable, err := options.BuildFilterFunc()
	if err != nil {
		return nil, fmt.Errorf("building the filter of pods of %s: %w", PluginName, err)
	}
	return &MigrateUnderLoad{
		logger:  klog.FromContext(ctx).WithValues("plugin", PluginName),
		handle:  handle,
		args:    args,
		names:   slices.Sorted(maps.Keys(args.Thresholds)),
		movable: movable,
		index:   index,
		calm:    calm{cycles: *args.Cycles},
		resting: map[types.UID]time.Time{},
		report:  &report{recorder: recorder},
	}, nil
}

// Name implements frameworktypes.Plugin.
func (p *MigrateUnderLoad) Name() string { return PluginName }

// Balance implements frameworktypes.BalancePlugin.
func (p *MigrateUnderLoad) Balance(ctx context.Context, nodes []*corev1.Node) *frameworktypes.Status {
	logger := p.logger.WithValues("ExtensionPoint", frameworktypes.BalanceExtensionPoint)
	ctx = klog.NewContext(ctx, logger)
	usage, err := newUsage(ctx, p.args.MetricsUtilization, p.names, p.handle)
	if err != nil {
		return &frameworktypes.Status{Err: fmt.Errorf("%s cannot tell how full nodes are: %w", PluginName, err)}
	}
	s, err := p.survey(ctx, nodes, usage)
	if err != nil {
		return &frameworktypes.Status{Err: err}
	}
	p.calm.observe(s.machines, p.busy().Has)
	if err := p.addCandidates(ctx, s, usage); err != nil {
		return &frameworktypes.Status{Err: err}
	}
	chosen, stuck := plan(s.machines, s.fits(ctx, p.handle.GetPodsAssignedToNodeFunc()))
	p.report.publish(logger, s, chosen, stuck)
	p.migrate(ctx, s, chosen)
	return nil
}

// migrate asks for the migrations, within the policy's limits. What these cut off is planned anew in later cycles.
func (p *MigrateUnderLoad) migrate(ctx context.Context, s *survey, chosen []move) {
	logger := klog.FromContext(ctx)
	round := moves.NewRound(p.handle.Evictor(), PluginName)
	for _, m := range chosen {
		pod := s.pods[m.pod]
		asked, err := round.Ask(moves.WithTarget(ctx, m.to), pod)
		var cooling *moves.CooldownError
		switch {
		case asked:
			logger.V(1).Info("Pod migrates to relieve its node", "pod", klog.KObj(pod), "from", m.from, "to", m.to)
		case errors.As(err, &cooling):
			p.resting[pod.UID] = cooling.Until
		case err != nil:
			logger.Error(err, "Asking for a migration failed", "pod", klog.KObj(pod), "from", m.from, "to", m.to)
		}
	}
}
