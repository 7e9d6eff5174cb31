package migratefromdrainednodes

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	podutil "sigs.k8s.io/descheduler/pkg/descheduler/pod"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// PluginName by which policies name the plugin.
const PluginName = "MigrateFromDrainedNodes"

// MigrateFromDrainedNodes migrates pods away from nodes that are being emptied. It ends no pod: one that cannot be
// migrated stays where it is, for whoever drains the node to decide on, and is reported.
type MigrateFromDrainedNodes struct {
	logger klog.Logger
	handle frameworktypes.Handle
	drains drains
	// wanted are the pods that the arguments select.
	wanted podutil.FilterFunc
	index  *moves.Index
	report *report
}

var _ frameworktypes.DeschedulePlugin = &MigrateFromDrainedNodes{}

// New builds the plugin from its arguments.
func New(ctx context.Context, obj runtime.Object, handle frameworktypes.Handle, index *moves.Index, recorder events.EventRecorder) (*MigrateFromDrainedNodes, error) {
	args, ok := obj.(*MigrateFromDrainedNodesArgs)
	if !ok {
		return nil, fmt.Errorf("want args to be of type MigrateFromDrainedNodesArgs, got %T", obj)
	}
	options := podutil.NewOptions().WithFilter(isMovable).WithLabelSelector(args.LabelSelector)
	if args.Namespaces != nil {
		options.WithNamespaces(sets.New(args.Namespaces.Include...)).WithoutNamespaces(sets.New(args.Namespaces.Exclude...))
	}
	wanted, err := options.BuildFilterFunc()
	if err != nil {
		return nil, fmt.Errorf("reading the label selector of %s: %w", PluginName, err)
	}
	return &MigrateFromDrainedNodes{
		logger: klog.FromContext(ctx).WithValues("plugin", PluginName),
		handle: handle,
		drains: drains{cordoned: *args.Cordoned, taints: sets.New(args.Taints...)},
		wanted: wanted,
		index:  index,
		report: &report{recorder: recorder},
	}, nil
}

// Name implements frameworktypes.Plugin.
func (p *MigrateFromDrainedNodes) Name() string { return PluginName }

// Deschedule implements frameworktypes.DeschedulePlugin.
func (p *MigrateFromDrainedNodes) Deschedule(ctx context.Context, nodes []*corev1.Node) *frameworktypes.Status {
	logger := p.logger.WithValues("ExtensionPoint", frameworktypes.DescheduleExtensionPoint)
	ctx = klog.NewContext(ctx, logger)
	var movable []*corev1.Pod
	var stuck []finding
	for _, node := range nodes {
		taints := p.drains.of(node)
		if len(taints) == 0 {
			continue
		}
		pods, err := podutil.ListPodsOnANode(node.Name, p.handle.GetPodsAssignedToNodeFunc(), p.wanted)
		if err != nil {
			return &frameworktypes.Status{Err: fmt.Errorf("listing the pods of node %s: %w", node.Name, err)}
		}
		for _, pod := range pods {
			if p.index.Leaving(pod) || p.index.Arriving(pod) || tolerates(ctx, pod, taints) {
				continue
			}
			if reason, message := p.refusal(pod); reason != "" {
				stuck = append(stuck, finding{pod: pod, node: node.Name, reason: reason, message: message})
			} else {
				movable = append(movable, pod)
			}
		}
	}
	stuck = append(stuck, p.migrate(ctx, movable)...)
	p.report.publish(logger, stuck)
	return nil
}

// migrate asks for the migrations of pods, within the policy's limits, and returns what was refused.
func (p *MigrateFromDrainedNodes) migrate(ctx context.Context, pods []*corev1.Pod) (stuck []finding) {
	round := moves.NewRound(p.handle.Evictor(), PluginName)
	for _, pod := range pods {
		asked, err := round.Ask(ctx, pod)
		var cooling *moves.CooldownError
		switch {
		case asked:
			klog.FromContext(ctx).V(1).Info("Pod of a drained node migrates", "pod", klog.KObj(pod), "node", pod.Spec.NodeName)
		case errors.As(err, &cooling):
			stuck = append(stuck, finding{pod, pod.Spec.NodeName, reasonMigrationFailed, p.failure(pod)})
		case err != nil:
			stuck = append(stuck, finding{pod, pod.Spec.NodeName, reasonRequestFailed, "its migration could not be asked for: " + err.Error()})
		}
	}
	return stuck
}
