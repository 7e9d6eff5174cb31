package migrateunderload

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func anywhere(string, string, string) bool { return true }

// node with a limit of 80 and a goal of 75 of each resource, and room for whatever pods request.
func node(name string, pods []candidate, used ...float64) *machine {
	m := &machine{name: name, used: used, takes: true, pods: pods}
	for range used {
		m.limit, m.goal, m.free = append(m.limit, 80), append(m.goal, 75), append(m.free, 1000)
	}
	m.gives = m.hot()
	return m
}

func TestPlan(t *testing.T) {
	for name, test := range map[string]struct {
		nodes []*machine
		fits  func(pod, from, to string) bool
		moves []move
		stuck []string
	}{
		"nobody is too full": {nodes: []*machine{node("a", []candidate{pod("p", 1, 20)}, 80), node("b", nil, 10)}},
		"the cheapest set goes to the coolest node": {
			nodes: []*machine{node("a", []candidate{pod("p", 9, 20), pod("q", 1, 20)}, 95), node("b", nil, 30), node("c", nil, 20)},
			moves: []move{{"q", "a", "c"}},
		},
		"each pod to the node that is coolest then": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20), pod("q", 1, 20)}, 110), node("b", nil, 30), node("c", nil, 20)},
			moves: []move{{"p", "a", "c"}, {"q", "a", "b"}},
		},
		"no target is filled beyond its goal": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20)}, 90), node("b", nil, 56)},
			stuck: []string{"a"},
		},
		"a pod that finds no place is replaced by dearer ones": {
			nodes: []*machine{node("a", []candidate{pod("big", 1, 20), pod("p", 9, 8), pod("q", 9, 7)}, 90), node("b", nil, 60)},
			moves: []move{{"p", "a", "b"}, {"q", "a", "b"}},
		},
		"to the limit when the goal is out of reach": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 10)}, 90), node("b", nil, 10)},
			moves: []move{{"p", "a", "b"}},
		},
		"nothing moves when it does not help": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 10)}, 95), node("b", nil, 10)},
			stuck: []string{"a"},
		},
		"another resource of the target counts": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20, 10)}, 90, 10), node("b", nil, 10, 70), node("c", nil, 40, 40)},
			moves: []move{{"p", "a", "c"}},
		},
		"requests must fit": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20)}, 90), {name: "b", used: load{0}, limit: load{80}, goal: load{75}, free: load{19}, takes: true}},
			stuck: []string{"a"},
		},
		"requests of two moves must fit together": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20), pod("q", 1, 20)}, 110), {name: "b", used: load{0}, limit: load{80}, goal: load{75}, free: load{39}, takes: true}},
			stuck: []string{"a"},
		},
		"taints and the like": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20), pod("q", 2, 20)}, 90), node("b", nil, 10), node("c", nil, 20)},
			fits:  func(pod, _, to string) bool { return pod == "q" && to == "c" },
			moves: []move{{"q", "a", "c"}},
		},
		"a node that was moved onto lately takes nothing": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20)}, 90), {name: "b", used: load{0}, limit: load{80}, goal: load{75}, free: load{99}}},
			stuck: []string{"a"},
		},
		"the fullest node goes first": {
			nodes: []*machine{node("a", []candidate{pod("p", 1, 20)}, 90), node("b", []candidate{pod("q", 1, 20)}, 95), node("c", nil, 40)},
			moves: []move{{"q", "b", "c"}},
			stuck: []string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.fits == nil {
				test.fits = anywhere
			}
			moves, stuck := plan(test.nodes, test.fits)
			require.Equal(t, test.moves, moves)
			require.Equal(t, test.stuck, stuck)
		})
	}
}

// cluster is a simulated one: its pods and where they are.
type cluster struct {
	limit, goal float64
	nodes       []string
	pods        map[string]candidate
	on          map[string]string
}

// randomCluster is half full or more on average, and fuller on its first node than on the others.
func randomCluster(r *rand.Rand) *cluster {
	c := &cluster{limit: 80, goal: 75, pods: map[string]candidate{}, on: map[string]string{}}
	for i := range 2 + r.IntN(4) {
		c.nodes = append(c.nodes, fmt.Sprintf("n%d", i))
	}
	const pods = 15
	largest := len(c.nodes) * int(c.limit*(1+r.Float64())) / pods
	for i := range pods {
		p := candidate{name: fmt.Sprintf("p%d", i), used: load{float64(r.IntN(largest)), float64(r.IntN(largest))}, requests: load{1}, cost: float64(1 + r.IntN(20))}
		c.pods[p.name] = p
		c.on[p.name] = c.nodes[r.IntN(len(c.nodes))*r.IntN(2)]
	}
	return c
}

// machines of the cluster with a disturbance added to what each uses.
func (c *cluster) machines(noise func(node string) float64) (machines []*machine) {
	for _, n := range c.nodes {
		m := &machine{name: n, limit: load{c.limit, c.limit}, goal: load{c.goal, c.goal}, free: load{30}, used: load{noise(n), noise(n)}}
		for _, name := range slices.Sorted(maps.Keys(c.pods)) {
			if c.on[name] == n {
				m.pods = append(m.pods, c.pods[name])
				m.used, m.free = m.used.plus(c.pods[name].used), m.free.minus(load{1})
			}
		}
		machines = append(machines, m)
	}
	return machines
}

func quiet(string) float64 { return 0 }

func hotNodesOf(machines []*machine) map[string]bool {
	hot := map[string]bool{}
	for _, m := range machines {
		if m.hot() {
			hot[m.name] = true
		}
	}
	return hot
}

// TestNoMoveDoesHarm: no node becomes too full that was not, each node whose pods move is relieved, and one that cannot
// be loses none.
func TestNoMoveDoesHarm(t *testing.T) {
	relieved, unrelieved := 0, 0
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := randomCluster(r)
		machines := c.machines(quiet)
		before := hotNodesOf(machines)
		for _, m := range machines {
			m.gives, m.takes = m.hot(), true
		}
		refused := map[move]bool{}
		moves, stuck := plan(machines, func(pod, from, to string) bool {
			asked := move{pod, from, to}
			if _, known := refused[asked]; !known {
				refused[asked] = r.IntN(3) == 0
			}
			return !refused[asked]
		})
		for _, m := range moves {
			require.Equal(t, c.on[m.pod], m.from, "seed %d", seed)
			require.False(t, refused[m], "seed %d: %v does not fit", seed, m)
			c.on[m.pod] = m.to
		}
		after := hotNodesOf(c.machines(quiet))
		for n := range after {
			require.True(t, before[n], "seed %d: %s was made too full by %v", seed, n, moves)
			require.Contains(t, stuck, n, "seed %d", seed)
		}
		for _, m := range moves {
			require.False(t, before[m.to], "seed %d: %s was too full already", seed, m.to)
			require.False(t, after[m.from], "seed %d: %s lost pods and is still too full: %v", seed, m.from, moves)
		}
		require.Len(t, stuck, len(after), "seed %d", seed)
		relieved, unrelieved = relieved+len(before)-len(after), unrelieved+len(after)
	}
	t.Logf("%d nodes were relieved, %d could not be", relieved, unrelieved)
	require.Greater(t, relieved, 100)
	require.Greater(t, unrelieved, 20)
}

// TestCyclesSettle: in 20 cycles of loads that swing by less than the margin no pod moves twice, no node that took pods
// becomes too full, and none is relieved before it has been too full for as many cycles as are asked for.
func TestCyclesSettle(t *testing.T) {
	moves := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := randomCluster(r)
		state := calm{cycles: 1 + r.IntN(3)}
		moved, took := map[string]bool{}, map[string]bool{}
		for cycle := range 20 {
			machines := c.machines(func(string) float64 { return 4 * r.Float64() })
			for n := range hotNodesOf(machines) {
				require.False(t, took[n], "seed %d: %s took pods and is too full in cycle %d", seed, n, cycle)
			}
			state.observe(machines, func(string) bool { return false })
			chosen, _ := plan(machines, anywhere)
			for _, m := range chosen {
				require.GreaterOrEqual(t, cycle, state.cycles-1, "seed %d", seed)
				require.False(t, moved[m.pod], "seed %d: pod %s moves again, from %s to %s in cycle %d", seed, m.pod, m.from, m.to, cycle)
				moved[m.pod], took[m.to] = true, true
				c.on[m.pod] = m.to
				delete(state.nodes, m.from)
				delete(state.nodes, m.to)
			}
			moves += len(chosen)
		}
	}
	t.Logf("%d moves", moves)
	require.Greater(t, moves, 100)
}
