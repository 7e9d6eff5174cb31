package moves

import "context"

type targetKey struct{}

// WithTarget names the node that a plugin has chosen for the pod that it evicts with ctx. It goes with the context since
// the descheduler's evictions have no place for it.
func WithTarget(ctx context.Context, node string) context.Context {
	return context.WithValue(ctx, targetKey{}, node)
}

func target(ctx context.Context) string {
	node, _ := ctx.Value(targetKey{}).(string)
	return node
}
