package agent

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// byUID indexes pods by their UID.
const byUID = "uid"

// pods of the node, kept by an informer.
type pods struct {
	kube     kubernetes.Interface
	node     string
	informer cache.SharedIndexInformer
}

func newPods(kube kubernetes.Interface, node string) *pods {
	selector := fields.OneTermEqualSelector("spec.nodeName", node).String()
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = selector }))
	p := &pods{kube: kube, node: node, informer: factory.Core().V1().Pods().Informer()}
	index := func(o any) ([]string, error) {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			return nil, nil
		}
		return []string{string(pod.UID)}, nil
	}
	if err := p.informer.AddIndexers(cache.Indexers{byUID: index}); err != nil {
		panic(err) // only a started informer refuses
	}
	return p
}

// start the informer and wait for its first list.
func (p *pods) start(ctx context.Context) error {
	go p.informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), p.informer.HasSynced) {
		return fmt.Errorf("listing pods of node %s: %w", p.node, context.Cause(ctx))
	}
	return nil
}

// withUID returns the pod with the UID, nil if it is not on this node.
func (p *pods) withUID(uid string) *corev1.Pod {
	found, _ := p.informer.GetIndexer().ByIndex(byUID, uid)
	if len(found) == 0 {
		return nil
	}
	pod, _ := found[0].(*corev1.Pod)
	return pod
}

// named returns a pod of this node, from the API server when the informer has not heard of it yet.
func (p *pods) named(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	o, exists, err := p.informer.GetIndexer().GetByKey(namespace + "/" + name)
	if pod, ok := o.(*corev1.Pod); err == nil && exists && ok {
		return pod, nil
	}
	pod, err := p.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, errNoPod
	}
	if err != nil {
		return nil, fmt.Errorf("getting pod: %w", err)
	}
	return pod, nil
}

var errNoPod = errors.New("no such pod")

// prepared returns the pods of this node that have a gate.
func (p *pods) prepared() []*corev1.Pod {
	var found []*corev1.Pod
	for _, o := range p.informer.GetIndexer().List() {
		if pod, ok := o.(*corev1.Pod); ok && isPrepared(pod) && hasGate(pod) {
			found = append(found, pod)
		}
	}
	return found
}

func isPrepared(pod *corev1.Pod) bool {
	return pod.Spec.RuntimeClassName != nil && *pod.Spec.RuntimeClassName == v1alpha1.RuntimeClass
}

func hasGate(pod *corev1.Pod) bool {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == v1alpha1.GateContainer {
			return true
		}
	}
	return false
}

// restarts of a container, by the pod's status.
func restarts(pod *corev1.Pod, container string) int32 {
	if pod != nil {
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name == container {
				return s.RestartCount
			}
		}
	}
	return 0
}
