package report

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSampleLeavesOutReadingsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 475*time.Millisecond)
		defer cancel()
		reads := uint64(0)
		counts := Sample(ctx, 100*time.Millisecond, func(context.Context) (uint64, error) {
			reads++
			if reads == 3 {
				return 0, errors.New("frozen")
			}
			return reads, nil
		})
		require.Equal(t, []Count{
			{begin, 1},
			{begin.Add(100 * time.Millisecond), 2},
			{begin.Add(300 * time.Millisecond), 4},
			{begin.Add(400 * time.Millisecond), 5},
		}, counts)
	})
}
