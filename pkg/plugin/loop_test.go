package plugin

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

func TestLoopRunsOnePolicyAtATime(t *testing.T) {
	type happening struct{ policy, what string }
	happened := make(chan happening, 10)
	policies := make(chan *policy.Policy)
	loop := &Loop{InForce: policies, Run: func(ctx context.Context, p *policy.Policy) error {
		happened <- happening{p.Version, "starts"}
		<-ctx.Done()
		happened <- happening{p.Version, "ends"}
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- loop.Start(ctx) }()

	policies <- nil
	policies <- &policy.Policy{Version: "1"}
	require.Equal(t, happening{"1", "starts"}, <-happened)
	policies <- &policy.Policy{Version: "2"}
	require.Equal(t, happening{"1", "ends"}, <-happened)
	require.Equal(t, happening{"2", "starts"}, <-happened)
	policies <- nil
	require.Equal(t, happening{"2", "ends"}, <-happened)
	policies <- &policy.Policy{Version: "3"}
	require.Equal(t, happening{"3", "starts"}, <-happened)
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, happening{"3", "ends"}, <-happened)
}
