package migrateunderload

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func pod(name string, cost float64, used ...float64) candidate {
	return candidate{name: name, used: used, requests: used, cost: cost}
}

func names(pods []candidate) (names []string) {
	for _, p := range pods {
		names = append(names, p.name)
	}
	return names
}

func TestCheapest(t *testing.T) {
	for name, test := range map[string]struct {
		need load
		pods []candidate
		want []string
	}{
		"one that suffices":       {load{10}, []candidate{pod("a", 5, 10), pod("b", 4, 10)}, []string{"b"}},
		"two cheap for one dear":  {load{10}, []candidate{pod("a", 5, 5), pod("b", 4, 5), pod("c", 10, 20)}, []string{"a", "b"}},
		"one dear for two cheap":  {load{10}, []candidate{pod("a", 5, 5), pod("b", 4, 5), pod("c", 8, 20)}, []string{"c"}},
		"more than greedy":        {load{10}, []candidate{pod("a", 1, 6), pod("b", 3, 10), pod("c", 2.5, 4)}, []string{"b"}},
		"two resources":           {load{10, 4}, []candidate{pod("a", 1, 10, 0), pod("b", 1, 0, 4), pod("c", 3, 10, 4)}, []string{"a", "b"}},
		"only what is needed":     {load{0, 4}, []candidate{pod("a", 1, 10, 0), pod("b", 2, 0, 4)}, []string{"b"}},
		"negative needs are none": {load{-5, 4}, []candidate{pod("a", 1, 10, 0), pod("b", 2, 0, 4)}, []string{"b"}},
		"no need":                 {load{0, -3}, []candidate{pod("a", 1, 10, 0)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := cheapest(test.need, test.pods)
			require.True(t, ok)
			require.ElementsMatch(t, test.want, names(got))
		})
	}
	for name, pods := range map[string][]candidate{
		"no pods":          nil,
		"too little":       {pod("a", 1, 4, 9), pod("b", 1, 5, 9)},
		"of one, too litt": {pod("a", 1, 90, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			_, ok := cheapest(load{10, 3}, pods)
			require.False(t, ok)
		})
	}
}

// TestCheapestIsCheapest compares with all sets there are.
func TestCheapestIsCheapest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		resources := rapid.IntRange(1, 3).Draw(t, "resources")
		amounts := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 20), func(n int) float64 { return float64(n) }), resources, resources)
		var pods []candidate
		for i := range rapid.IntRange(0, 9).Draw(t, "pods") {
			pods = append(pods, pod(fmt.Sprint(i), float64(rapid.IntRange(1, 30).Draw(t, "cost")), amounts.Draw(t, "used")...))
		}
		need := load(amounts.Draw(t, "need"))

		best := math.Inf(1)
		for set := range 1 << len(pods) {
			rest, sum := need, 0.0
			for i, p := range pods {
				if set&(1<<i) != 0 {
					rest, sum = rest.minus(p.used), sum+p.cost
				}
			}
			if covered(rest) {
				best = min(best, sum)
			}
		}
		got, ok := cheapest(need, pods)
		if ok != !math.IsInf(best, 1) {
			t.Fatalf("found a set: %v; there is one at cost %v", ok, best)
		}
		rest, sum := need, 0.0
		for _, p := range got {
			rest, sum = rest.minus(p.used), sum+p.cost
		}
		if ok && (sum != best || !covered(rest)) {
			t.Fatalf("chose %v at cost %v, leaving %v; the best costs %v", names(got), sum, rest, best)
		}
	})
}

// TestManyPodsAreSearchedWithinBounds: a node's worth of pods that all differ.
func TestManyPodsAreSearchedWithinBounds(t *testing.T) {
	var pods []candidate
	for i := range 110 {
		pods = append(pods, pod(fmt.Sprint(i), 3+float64(i*7919%97)/7, float64(10+i*104729%89), float64(20+i*1299709%71)))
	}
	s := newSearch(load{900, 1100}, pods)
	s.greedy()
	greedy := s.bestCost
	s.branch(0, s.need, 0, nil)
	require.LessOrEqual(t, s.bestCost, greedy)
	rest := load{900, 1100}
	for _, p := range s.best {
		rest = rest.minus(p.used)
	}
	require.True(t, covered(rest))
}
