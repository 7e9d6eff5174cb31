package migratefromdrainednodes

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
)

// Taints that announce the removal of a node.
const (
	taintClusterAutoscaler = "ToBeDeletedByClusterAutoscaler"
	taintKarpenter         = "karpenter.sh/disrupted"
)

// SetDefaults_MigrateFromDrainedNodesArgs fills what a policy leaves out. An empty list of taints is not left out.
func SetDefaults_MigrateFromDrainedNodesArgs(obj runtime.Object) {
	args := obj.(*MigrateFromDrainedNodesArgs)
	if args.Cordoned == nil {
		args.Cordoned = ptr.To(true)
	}
	if args.Taints == nil {
		args.Taints = []string{taintClusterAutoscaler, taintKarpenter}
	}
}
