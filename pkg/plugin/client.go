package plugin

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	policyv1client "k8s.io/client-go/kubernetes/typed/policy/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/descheduler/pkg/descheduler/evictions"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
)

// annotationReason of an Eviction tells who chose the pod and why.
const annotationReason = "reason"

// candidate is what a plugin knew of the pod that it chose. An Eviction names only the pod, and a pod of the same name
// may have taken its place.
type candidate struct {
	uid      types.UID
	strategy string
}

type candidateKey struct{}

func withCandidate(ctx context.Context, c candidate) context.Context {
	return context.WithValue(ctx, candidateKey{}, c)
}

// migratingClient is a clientset whose evictions migrate what can be migrated.
type migratingClient struct {
	kubernetes.Interface
	requester *moves.Requester
}

// IsWatchListSemanticsUnSupported passes on what client-go asks of the clientset under the decoration: embedding an
// interface hides the methods that it does not have.
func (c *migratingClient) IsWatchListSemanticsUnSupported() bool {
	inner, ok := c.Interface.(interface{ IsWatchListSemanticsUnSupported() bool })
	return ok && inner.IsWatchListSemanticsUnSupported()
}

// PolicyV1 implements kubernetes.Interface.
func (c *migratingClient) PolicyV1() policyv1client.PolicyV1Interface {
	return &migratingPolicy{PolicyV1Interface: c.Interface.PolicyV1(), client: c}
}

type migratingPolicy struct {
	policyv1client.PolicyV1Interface
	client *migratingClient
}

// Evictions implements policyv1client.EvictionsGetter.
func (p *migratingPolicy) Evictions(namespace string) policyv1client.EvictionInterface {
	return &migratingEvictions{EvictionInterface: p.PolicyV1Interface.Evictions(namespace), namespace: namespace, client: p.client}
}

type migratingEvictions struct {
	policyv1client.EvictionInterface
	namespace string
	client    *migratingClient
}

// Evict asks for a Migration of a migratable pod and evicts any other.
func (e *migratingEvictions) Evict(ctx context.Context, eviction *policyv1.Eviction) error {
	pods := e.client.CoreV1().Pods(e.namespace)
	pod, err := pods.Get(ctx, eviction.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the pod to evict: %w", err)
	}
	chosen, _ := ctx.Value(candidateKey{}).(candidate)
	if chosen.uid != "" && chosen.uid != pod.UID {
		return apierrors.NewNotFound(corev1.Resource("pods"), eviction.Name)
	}
	if !moves.Migratable(pod) {
		if chosen.uid != "" {
			return fmt.Errorf("migrating pod %s/%s: it was chosen to be migrated and cannot be any more", e.namespace, eviction.Name)
		}
		return e.EvictionInterface.Evict(ctx, eviction)
	}
	reason := chosen.strategy
	if reason == "" {
		reason = eviction.Annotations[annotationReason]
	}
	migration, err := e.client.requester.Request(ctx, pod, reason)
	if err != nil {
		return err
	}
	if err := mark(ctx, pods, pod, migration.Name); err != nil {
		// The Migration goes on; only the descheduler's limits may miss it.
		klog.FromContext(ctx).Error(err, "Marking the pod that migrates failed", "pod", klog.KObj(pod))
	}
	return apierrors.NewTooManyRequestsError(fmt.Sprintf("%s of pod %s/%s: migration %s",
		evictions.EvictionInBackgroundErrorText, pod.Namespace, pod.Name, migration.Name))
}
