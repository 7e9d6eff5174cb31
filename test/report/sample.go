package report

import (
	"context"
	"time"
)

// Sample reads a counter at intervals until ctx ends. Readings that fail, because the pod is not there yet, is frozen or
// is gone, are left out. A reading that took long counts from the moment it came.
func Sample(ctx context.Context, every time.Duration, read func(context.Context) (uint64, error)) []Count {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var counts []Count
	for {
		if count, err := read(ctx); err == nil {
			counts = append(counts, Count{At: time.Now(), Count: count})
		}
		select {
		case <-ctx.Done():
			return counts
		case <-ticker.C:
		}
	}
}
