package plugin

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/descheduler/metrics"
	"sigs.k8s.io/descheduler/pkg/descheduler"
	"sigs.k8s.io/descheduler/pkg/framework/pluginregistry"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// dryRunEvents is the room for events in the watches of a dry run's fake clientset, as in the descheduler's own command.
const dryRunEvents = 100_000

// Registration adds plugins to the registry, as the descheduler's own RegisterDefaultPlugins does.
type Registration func(pluginregistry.Registry)

// Register fills the descheduler's registry with its own plugins and those of more, each with a handle that shows
// moves. The registry is global to the process and a policy is decoded with it, so this comes before anything else.
func Register(index *moves.Index, more ...Registration) {
	metrics.Register()
	watch.DefaultChanSize = dryRunEvents
	descheduler.SetupPlugins()
	for _, register := range more {
		register(pluginregistry.PluginRegistry)
	}
	for name, utilities := range pluginregistry.PluginRegistry {
		build := utilities.PluginBuilder
		utilities.PluginBuilder = func(ctx context.Context, args runtime.Object, h frameworktypes.Handle) (frameworktypes.Plugin, error) {
			return build(ctx, args, &handle{Handle: h, index: index})
		}
		pluginregistry.PluginRegistry[name] = utilities
	}
}
