package migrateunderload

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

func TestCost(t *testing.T) {
	idle := cost(64*mebibyte, nil)
	require.InDelta(t, 3+64*0.014+10*64*0.008, idle, 1e-9)
	require.Greater(t, cost(512*mebibyte, nil), idle, "more memory costs more")
	require.Less(t, cost(512*mebibyte, nil), 8*idle, "but eight small moves cost more than a large one")

	replay := func(lambda, mu int64) *v1alpha1.ReplayStatus {
		return &v1alpha1.ReplayStatus{LambdaMilli: lambda, MuMilli: mu}
	}
	half, full := cost(64*mebibyte, replay(50_000, 100_000)), cost(64*mebibyte, replay(100_000, 100_000))
	require.Greater(t, half, idle, "load makes the replay longer")
	require.Greater(t, full, half)
	require.InDelta(t, full, cost(64*mebibyte, replay(300_000, 100_000)), 1e-9, "the cutoff ends a replay that would not")
	require.InDelta(t, idle, cost(64*mebibyte, replay(0, 0)), 1e-9)
}
