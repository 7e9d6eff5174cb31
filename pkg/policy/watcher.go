package policy

import (
	"context"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
)

// Watcher follows the policy ConfigMap. It judges each version, reports the verdict and hands on what is in force.
type Watcher struct {
	client kubernetes.Interface
	name   cache.ObjectName
	check  Check
	report *reporter
	// inForce holds the newest policy that was not yet taken. Nobody needs the ones between.
	inForce chan *Policy
}

// NewWatcher follows the ConfigMap namespace/name. Verdicts appear as events of recorder, in the log, as metrics and in
// the ConfigMap name-status.
func NewWatcher(client kubernetes.Interface, recorder events.EventRecorder, namespace, name string, check Check) *Watcher {
	return &Watcher{
		client:  client,
		name:    cache.NewObjectName(namespace, name),
		check:   check,
		report:  &reporter{configMaps: client.CoreV1().ConfigMaps(namespace), recorder: recorder, namespace: namespace, name: name},
		inForce: make(chan *Policy, 1),
	}
}

// InForce yields each policy that comes into force, nil when there is none any more. It has one reader.
func (w *Watcher) InForce() <-chan *Policy { return w.inForce }

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(w.client, 0, informers.WithNamespace(w.name.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, w.name.Name).String()
		}))
	informer := factory.Core().V1().ConfigMaps().Informer()
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(_, _ any) { notify() },
		DeleteFunc: func(any) { notify() },
	}); err != nil {
		return fmt.Errorf("watching the policy ConfigMap: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil // ctx ended
	}
	w.follow(ctx, informer.GetStore(), changed)
	return nil
}

func (w *Watcher) follow(ctx context.Context, store cache.Store, changed <-chan struct{}) {
	last := w.restore(ctx)
	var handed *Policy
	seen := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		cm := w.current(store)
		if cm != nil && cm.ResourceVersion == seen {
			continue
		}
		verdict := judge(cm, last, w.check)
		w.report.publish(ctx, cm, verdict)
		seen = verdict.Observed
		last = verdict.InForce
		if last != handed {
			handed = last
			w.hand(last)
		}
	}
}

func (w *Watcher) current(store cache.Store) *corev1.ConfigMap {
	obj, exists, err := store.GetByKey(w.name.String())
	if cm, ok := obj.(*corev1.ConfigMap); ok && exists && err == nil {
		return cm
	}
	return nil
}

// restore finds the policy that was in force when this replica was not yet the one that decides: a bad version in the
// ConfigMap does not disarm a good one because the leader changed.
func (w *Watcher) restore(ctx context.Context) *Policy {
	cm, err := w.report.lastGood(ctx)
	if err != nil {
		slog.WarnContext(ctx, "No last good policy to go on with", "error", err)
	}
	if cm == nil {
		return nil
	}
	p, err := Parse(cm, w.check)
	if err != nil {
		slog.WarnContext(ctx, "Last good policy is not valid any more", "error", err)
		return nil
	}
	return p
}

// hand replaces the policy that waits to be taken.
func (w *Watcher) hand(p *Policy) {
	select {
	case <-w.inForce:
	default:
	}
	w.inForce <- p
}
