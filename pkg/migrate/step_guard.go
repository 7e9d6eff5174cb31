package migrate

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// guard is the finalizer that keeps the name of a StatefulSet's pod taken. Without it, somebody who deletes the source
// just before the commit would make the set start an empty pod of that name beside the stand-in.
const guard = "ms2m.dev/source"

func guardSource(ctx context.Context, r *run) (time.Duration, error) {
	return 0, r.setGuard(ctx, controllerutil.AddFinalizer)
}

func unguardSource(ctx context.Context, r *run) (time.Duration, error) {
	return 0, r.setGuard(ctx, controllerutil.RemoveFinalizer)
}

// setGuard changes the finalizers of the source, if it is not gone.
func (r *run) setGuard(ctx context.Context, change func(client.Object, string) bool) error {
	source, err := r.pod(ctx, r.m.Status.Source)
	if err != nil || source == nil {
		return err
	}
	base := source.DeepCopy()
	if !change(source, guard) {
		return nil
	}
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(r.api.Patch(ctx, source, patch)); err != nil {
		return fmt.Errorf("guarding pod %s: %w", source.Name, err)
	}
	return nil
}
