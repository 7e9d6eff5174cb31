package migrateunderload

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/descheduler/pkg/api"
)

// load is an amount per resource, in thousandths for CPU and in units for all else. Loads that meet have the resources
// in the same order.
type load []float64

// amount of a resource as it stands in a load.
func amount(name corev1.ResourceName, q *resource.Quantity) float64 {
	if q == nil {
		return 0
	}
	if name == corev1.ResourceCPU {
		return float64(q.MilliValue())
	}
	return q.AsApproximateFloat64()
}

func loadOf(names []corev1.ResourceName, amounts api.ReferencedResourceList) load {
	l := make(load, len(names))
	for i, name := range names {
		l[i] = amount(name, amounts[name])
	}
	return l
}

func (l load) plus(other load) load {
	sum := make(load, len(l))
	for i := range l {
		sum[i] = l[i] + other[i]
	}
	return sum
}

func (l load) minus(other load) load {
	rest := make(load, len(l))
	for i := range l {
		rest[i] = l[i] - other[i]
	}
	return rest
}

// within reports whether no amount is above that of bound.
func (l load) within(bound load) bool {
	for i := range l {
		if l[i] > bound[i] {
			return false
		}
	}
	return true
}

// share is the largest part that l has in whole, of any resource.
func (l load) share(whole load) (largest float64) {
	for i := range l {
		if whole[i] > 0 {
			largest = max(largest, l[i]/whole[i])
		}
	}
	return largest
}
