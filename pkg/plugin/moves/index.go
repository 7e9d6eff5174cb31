package moves

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// Index answers questions about Migrations by pod and by node. It is fed by an informer, as its event handler, and by
// the Requester, so that a Migration counts from the moment it was asked for.
type Index struct {
	mu         sync.RWMutex
	migrations map[types.NamespacedName]*v1alpha1.Migration
	ofPod      map[types.UID]sets.Set[types.NamespacedName]
	ofTarget   map[types.UID]types.NamespacedName
	onto       map[string]sets.Set[types.NamespacedName]
	byUID      map[types.UID]types.NamespacedName
}

var _ cache.ResourceEventHandler = &Index{}

// NewIndex is empty.
func NewIndex() *Index {
	return &Index{
		migrations: map[types.NamespacedName]*v1alpha1.Migration{},
		ofPod:      map[types.UID]sets.Set[types.NamespacedName]{},
		ofTarget:   map[types.UID]types.NamespacedName{},
		onto:       map[string]sets.Set[types.NamespacedName]{},
		byUID:      map[types.UID]types.NamespacedName{},
	}
}

// OnAdd implements cache.ResourceEventHandler.
func (x *Index) OnAdd(obj any, _ bool) { x.OnUpdate(nil, obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (x *Index) OnUpdate(_, obj any) {
	if m, ok := obj.(*v1alpha1.Migration); ok {
		x.Set(m)
	}
}

// OnDelete implements cache.ResourceEventHandler.
func (x *Index) OnDelete(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if m, ok := obj.(*v1alpha1.Migration); ok {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.remove(key(m))
	}
}

// Set takes the newest state of a Migration, which the caller must not change any more.
func (x *Index) Set(m *v1alpha1.Migration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := key(m)
	x.remove(k)
	x.migrations[k] = m
	x.byUID[m.UID] = k
	insert(x.ofPod, m.SourceUID(), k)
	if uid := m.Status.Target.UID; uid != "" {
		x.ofTarget[uid] = k
	}
	if node := m.TargetNode(); node != "" && !m.Status.Phase.Ended() {
		insert(x.onto, node, k)
	}
}

func (x *Index) remove(k types.NamespacedName) {
	m, ok := x.migrations[k]
	if !ok {
		return
	}
	delete(x.migrations, k)
	delete(x.byUID, m.UID)
	delete(x.ofTarget, m.Status.Target.UID)
	drop(x.ofPod, m.SourceUID(), k)
	drop(x.onto, m.TargetNode(), k)
}

// Of returns the Migrations whose source is the pod.
func (x *Index) Of(pod types.UID) []*v1alpha1.Migration {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var of []*v1alpha1.Migration
	for k := range x.ofPod[pod] {
		of = append(of, x.migrations[k])
	}
	return of
}

// Leaving reports whether the pod is the source of a Migration that is under way or that has succeeded, so that its
// place is as good as free.
func (x *Index) Leaving(pod *corev1.Pod) bool {
	for _, m := range x.Of(pod.UID) {
		if !m.Status.Phase.Ended() || m.Status.Phase == v1alpha1.PhaseSucceeded {
			return true
		}
	}
	return false
}

// Arriving reports whether the pod is the target of a Migration that is under way.
func (x *Index) Arriving(pod *corev1.Pod) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	k, ok := x.ofTarget[pod.UID]
	if uid := pod.Labels[v1alpha1.LabelMigration]; !ok && uid != "" {
		k, ok = x.byUID[types.UID(uid)]
	}
	return ok && !x.migrations[k].Status.Phase.Ended()
}

// Onto returns the Migrations under way whose target is the node.
func (x *Index) Onto(node string) []*v1alpha1.Migration {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var onto []*v1alpha1.Migration
	for k := range x.onto[node] {
		onto = append(onto, x.migrations[k])
	}
	return onto
}

// UnderWay returns the Migrations that have not ended.
func (x *Index) UnderWay() []*v1alpha1.Migration {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var underWay []*v1alpha1.Migration
	for _, m := range x.migrations {
		if !m.Status.Phase.Ended() {
			underWay = append(underWay, m)
		}
	}
	return underWay
}

// ReplayInto tells of the replay by which a Migration brought the pod to where it is; nil when none did.
func (x *Index) ReplayInto(pod types.UID) *v1alpha1.ReplayStatus {
	x.mu.RLock()
	defer x.mu.RUnlock()
	k, ok := x.ofTarget[pod]
	if !ok {
		return nil
	}
	return x.migrations[k].Status.Replay
}

// LastFailed is the last Migration of the pod that came to nothing; nil when none did.
func (x *Index) LastFailed(pod types.UID) (last *v1alpha1.Migration) {
	for _, m := range x.Of(pod) {
		if at := failedAt(m); !at.IsZero() && (last == nil || at.After(failedAt(last))) {
			last = m
		}
	}
	return last
}

// failedAt is when that was; zero when none did.
func (x *Index) failedAt(pod types.UID) time.Time {
	if m := x.LastFailed(pod); m != nil {
		return failedAt(m)
	}
	return time.Time{}
}

func failedAt(m *v1alpha1.Migration) time.Time {
	if p := m.Status.Phase; p != v1alpha1.PhaseFailed && p != v1alpha1.PhaseRolledBack {
		return time.Time{}
	}
	if m.Status.CompletionTime != nil {
		return m.Status.CompletionTime.Time
	}
	return m.CreationTimestamp.Time
}

func key(m *v1alpha1.Migration) types.NamespacedName {
	return types.NamespacedName{Namespace: m.Namespace, Name: m.Name}
}

func insert[K comparable](index map[K]sets.Set[types.NamespacedName], k K, name types.NamespacedName) {
	if index[k] == nil {
		index[k] = sets.New[types.NamespacedName]()
	}
	index[k].Insert(name)
}

func drop[K comparable](index map[K]sets.Set[types.NamespacedName], k K, name types.NamespacedName) {
	index[k].Delete(name)
	if index[k].Len() == 0 {
		delete(index, k)
	}
}
