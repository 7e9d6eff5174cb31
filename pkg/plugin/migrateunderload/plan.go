package migrateunderload

import (
	"cmp"
	"slices"
)

// machine is what is known of a node when moves are chosen.
type machine struct {
	name string
	// used, of the resources that have a threshold.
	used load
	// limit is the threshold; above it the node is too full.
	limit load
	// goal is below the limit by the margin: nodes are relieved down to it and filled up to it.
	goal load
	// free is what the scheduler could still give to pods' requests, of all resources that movable pods request.
	free load
	// gives pods: it was too full for long enough.
	gives bool
	// takes pods: it was left alone for long enough.
	takes bool
	// pods that can be moved; of a node that gives.
	pods []candidate
}

func (m *machine) hot() bool { return !m.used.within(m.limit) }

// candidate is a pod that can be moved.
type candidate struct {
	// name of the pod as namespace/name.
	name string
	// used is what the move takes from its node and brings to another, as machine.used.
	used load
	// requests, as machine.free.
	requests load
	// cost of the move as predicted.
	cost float64
}

// move takes a pod from one node to another.
type move struct{ pod, from, to string }

// plan chooses the moves that bring nodes that give below their limits at the least cost, the fullest node first. A node
// that cannot be brought below its limits is left as it is, and returned as stuck: its pods would pay for nothing. No
// node that takes is filled beyond its goal. fits tells whether a node can take a pod for reasons other than amounts.
func plan(nodes []*machine, fits func(pod, from, to string) bool) (moves []move, stuck []string) {
	var givers, takers []*machine
	for _, n := range nodes {
		switch {
		case n.gives && n.hot():
			givers = append(givers, n)
		case n.takes:
			takers = append(takers, n)
		}
	}
	slices.SortFunc(givers, func(a, b *machine) int {
		return cmp.Or(cmp.Compare(b.used.share(b.limit), a.used.share(a.limit)), cmp.Compare(a.name, b.name))
	})
	for _, giver := range givers {
		relief := relieve(giver, giver.goal, takers, fits)
		if relief == nil {
			relief = relieve(giver, giver.limit, takers, fits)
		}
		if relief == nil {
			stuck = append(stuck, giver.name)
		}
		moves = append(moves, relief...)
	}
	return moves, stuck
}

// relieve finds the cheapest set of pods that brings the node within bound and has places, and takes these into account;
// nil when there is none. A pod that finds no place is left out of the next try.
func relieve(giver *machine, bound load, takers []*machine, fits func(pod, from, to string) bool) []move {
	pods := slices.Clone(giver.pods)
	for {
		chosen, ok := cheapest(giver.used.minus(bound), pods)
		if !ok {
			return nil
		}
		moves, homeless := place(giver, chosen, takers, fits)
		if homeless == "" {
			for _, c := range chosen {
				giver.used = giver.used.minus(c.used)
			}
			return moves
		}
		pods = slices.DeleteFunc(pods, func(c candidate) bool { return c.name == homeless })
	}
}

// place finds a node for each pod, the largest first, and takes them into account there. When one finds none, its name
// is returned and nothing is taken into account.
func place(giver *machine, pods []candidate, takers []*machine, fits func(pod, from, to string) bool) (moves []move, homeless string) {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b candidate) int {
		return cmp.Compare(b.used.share(giver.limit), a.used.share(giver.limit))
	})
	var undo []func()
	for _, pod := range pods {
		taker := coolest(giver, pod, takers, fits)
		if taker == nil {
			for _, u := range undo {
				u()
			}
			return nil, pod.name
		}
		used, free := taker.used, taker.free
		undo = append([]func(){func() { taker.used, taker.free = used, free }}, undo...)
		taker.used, taker.free = used.plus(pod.used), free.minus(pod.requests)
		moves = append(moves, move{pod: pod.name, from: giver.name, to: taker.name})
	}
	return moves, ""
}

// coolest is the node that is least full with the pod on it, of those that stay within their goals; nil when none does.
func coolest(giver *machine, pod candidate, takers []*machine, fits func(pod, from, to string) bool) *machine {
	type offer struct {
		node *machine
		full float64
	}
	var offers []offer
	for _, t := range takers {
		if with := t.used.plus(pod.used); with.within(t.goal) && pod.requests.within(t.free) {
			offers = append(offers, offer{t, with.share(t.limit)})
		}
	}
	slices.SortFunc(offers, func(a, b offer) int {
		return cmp.Or(cmp.Compare(a.full, b.full), cmp.Compare(a.node.name, b.node.name))
	})
	for _, o := range offers {
		if fits(pod.name, giver.name, o.node.name) {
			return o.node
		}
	}
	return nil
}
