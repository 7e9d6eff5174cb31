package placement

import (
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
)

// asked hands on to the snapshot of the question. The scheduler's plugins keep the listers that they were made with, so
// these must be asked itself and not the snapshot's own.
type asked struct{ *cache.Snapshot }

var _ fwk.SharedLister = &asked{}

// NodeInfos implements fwk.SharedLister.
func (a *asked) NodeInfos() fwk.NodeInfoLister { return a }

// StorageInfos implements fwk.SharedLister.
func (a *asked) StorageInfos() fwk.StorageInfoLister { return a }
