package migrateunderload

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/descheduler/pkg/api"
)

const (
	defaultMargin api.Percentage = 5
	defaultCycles int            = 3
)

// SetDefaults_MigrateUnderLoadArgs fills what a policy leaves out.
func SetDefaults_MigrateUnderLoadArgs(obj runtime.Object) {
	args := obj.(*MigrateUnderLoadArgs)
	if args.Margin == nil {
		args.Margin = ptr.To(defaultMargin)
	}
	if args.Cycles == nil {
		args.Cycles = ptr.To(defaultCycles)
	}
}
