package migrateunderload

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/descheduler/pkg/api"
	"sigs.k8s.io/descheduler/pkg/descheduler/metricscollector"
	nodeutil "sigs.k8s.io/descheduler/pkg/descheduler/node"
	"sigs.k8s.io/descheduler/pkg/framework/plugins/nodeutilization"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"
	"sigs.k8s.io/descheduler/pkg/utils"
)

// usage is a source of loads as of one cycle.
type usage interface {
	// node's usage, its pods being those given; an error when nothing is known of it.
	node(name string, pods []*corev1.Pod) (api.ReferencedResourceList, error)
	// pod's part in it.
	pod(ctx context.Context, pod *corev1.Pod) (api.ReferencedResourceList, error)
}

// newUsage asks the source that the arguments name, through what the descheduler has of it.
func newUsage(ctx context.Context, m *MetricsUtilization, names []corev1.ResourceName, handle frameworktypes.Handle) (usage, error) {
	switch {
	case m == nil:
		return requested{names}, nil
	case m.Source == api.KubernetesMetrics:
		collector := handle.MetricsCollector()
		if collector == nil {
			return nil, errors.New("the policy's metricsProviders lack the source KubernetesMetrics")
		}
		nodes, err := collector.AllNodesUsage()
		if err != nil {
			return nil, fmt.Errorf("reading the usage of nodes: %w", err)
		}
		return &measured{nodes: nodes, collector: collector}, nil
	default:
		client := handle.PrometheusClient()
		if client == nil {
			return nil, errors.New("the policy's metricsProviders lack the source Prometheus")
		}
		q := &queried{}
		var err error
		if q.nodes, err = nodeutilization.NodeUsageFromPrometheusMetrics(ctx, client, m.Prometheus.Query); err != nil {
			return nil, fmt.Errorf("asking Prometheus for the usage of nodes: %w", err)
		}
		if q.pods, err = nodeutilization.NodeUsageFromPrometheusMetrics(ctx, client, m.Prometheus.PodQuery); err != nil {
			return nil, fmt.Errorf("asking Prometheus for the usage of pods: %w", err)
		}
		return q, nil
	}
}

// requested takes requests for usage.
type requested struct{ names []corev1.ResourceName }

func (r requested) node(_ string, pods []*corev1.Pod) (api.ReferencedResourceList, error) {
	return nodeutil.NodeUtilization(pods, r.names, func(pod *corev1.Pod) (corev1.ResourceList, error) {
		requests, _ := utils.PodRequestsAndLimits(pod)
		return requests, nil
	})
}

func (r requested) pod(_ context.Context, pod *corev1.Pod) (api.ReferencedResourceList, error) {
	return requestsOf(pod, r.names), nil
}

// requestsOf a pod, which counts as one of the resource pods.
func requestsOf(pod *corev1.Pod, names []corev1.ResourceName) api.ReferencedResourceList {
	list := api.ReferencedResourceList{}
	for _, name := range names {
		quantity := utils.GetResourceRequestQuantity(pod, name)
		if name == corev1.ResourcePods {
			quantity = *resource.NewQuantity(1, resource.DecimalSI)
		}
		list[name] = &quantity
	}
	return list
}

// measured is the metrics API: nodes as the descheduler's collector averages them, pods as they are now.
type measured struct {
	nodes     map[string]api.ReferencedResourceList
	collector *metricscollector.MetricsCollector
}

func (m *measured) node(name string, pods []*corev1.Pod) (api.ReferencedResourceList, error) {
	list, ok := m.nodes[name]
	if !ok {
		return nil, errors.New("the metrics API knows nothing of it")
	}
	list[corev1.ResourcePods] = resource.NewQuantity(int64(len(pods)), resource.DecimalSI)
	return list, nil
}

func (m *measured) pod(ctx context.Context, pod *corev1.Pod) (api.ReferencedResourceList, error) {
	metrics, err := m.collector.MetricsClient().MetricsV1beta1().PodMetricses(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the usage of pod %s: %w", klog.KObj(pod), err)
	}
	list := api.ReferencedResourceList{corev1.ResourcePods: resource.NewQuantity(1, resource.DecimalSI)}
	for _, c := range metrics.Containers {
		for name, used := range c.Usage {
			if list[name] == nil {
				list[name] = &resource.Quantity{}
			}
			list[name].Add(used)
		}
	}
	return list, nil
}

// queried is Prometheus. Loads are in percent of a node, so nodes are taken to be of one size.
type queried struct {
	nodes, pods map[string]map[corev1.ResourceName]*resource.Quantity
}

func (q *queried) node(name string, _ []*corev1.Pod) (api.ReferencedResourceList, error) {
	if list, ok := q.nodes[name]; ok {
		return list, nil
	}
	return nil, errors.New("the query of nodes has no sample for it")
}

func (q *queried) pod(_ context.Context, pod *corev1.Pod) (api.ReferencedResourceList, error) {
	if list, ok := q.pods[klog.KObj(pod).String()]; ok {
		return list, nil
	}
	return nil, fmt.Errorf("the query of pods has no sample for %s", klog.KObj(pod))
}
