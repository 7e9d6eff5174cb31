package migrateunderload

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/descheduler/pkg/framework/pluginregistry"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// Register returns the registration of the plugin, which reports through recorder which nodes it cannot relieve.
func Register(index *moves.Index, recorder events.EventRecorder) func(pluginregistry.Registry) {
	build := func(ctx context.Context, args runtime.Object, handle frameworktypes.Handle) (frameworktypes.Plugin, error) {
		return New(ctx, args, handle, index, recorder)
	}
	return func(registry pluginregistry.Registry) {
		pluginregistry.Register(PluginName, build, &MigrateUnderLoad{}, &MigrateUnderLoadArgs{},
			ValidateMigrateUnderLoadArgs, SetDefaults_MigrateUnderLoadArgs, registry)
	}
}
