package migrateunderload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCalm(t *testing.T) {
	c := calm{cycles: 3}
	see := func(hot, busy bool) (gives, takes bool) {
		m := &machine{name: "n", used: load{10}, limit: load{80}}
		if hot {
			m.used = load{81}
		}
		c.observe([]*machine{m}, func(string) bool { return busy })
		return m.gives, m.takes
	}
	for i, step := range []struct{ hot, busy, gives, takes bool }{
		{hot: true},
		{hot: true},
		{hot: true, gives: true, takes: true},
		{hot: false, takes: true},
		{hot: true, takes: true}, // a spell that was interrupted begins anew
		{hot: true, takes: true},
		{hot: true, gives: true, takes: true},
		{hot: true, busy: true},
		{hot: true, busy: true},
		{hot: true},
		{hot: true},
		{hot: true, gives: true, takes: true},
		{busy: true},
		{},
		{},
		{takes: true},
	} {
		gives, takes := see(step.hot, step.busy)
		require.Equal(t, step.gives, gives, "gives in step %d", i)
		require.Equal(t, step.takes, takes, "takes in step %d", i)
	}
	c.observe(nil, func(string) bool { return false })
	require.Empty(t, c.nodes, "nodes that are gone are forgotten")
}
