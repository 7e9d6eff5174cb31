package install

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Removed tells whether a pod of a DaemonSet ends because the DaemonSet is taken away, and not because of an update or
// of its node. With the DaemonSet also goes the right to read it, and in doubt it is there.
func Removed(ctx context.Context, kube kubernetes.Interface, namespace, daemonSet string) bool {
	found, err := kube.AppsV1().DaemonSets(namespace).Get(ctx, daemonSet, metav1.GetOptions{})
	if err != nil {
		return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
	}
	return found.DeletionTimestamp != nil
}
