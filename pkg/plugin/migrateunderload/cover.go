package migrateunderload

import (
	"cmp"
	"math"
	"slices"
)

// maxSteps bounds the search for the cheapest set. The best set found by then is taken, which is at least as good as the
// greedy one.
const maxSteps = 50_000

// cheapest returns the set of pods whose loads cover need at the least cost, and whether there is one. It is a search
// by branch and bound that starts from the greedy set.
func cheapest(need load, pods []candidate) ([]candidate, bool) {
	s := newSearch(need, pods)
	if !s.coverable(0, s.need) {
		return nil, false
	}
	s.greedy()
	s.branch(0, s.need, 0, nil)
	return s.best, true
}

type search struct {
	need load
	// pods in the order of cost for relief.
	pods []candidate
	// rest is, for each pod and resource, what it and the pods after it can relieve in all.
	rest []load
	// price is, for each pod and resource, the least cost for a unit among it and the pods after it.
	price []load

	best     []candidate
	bestCost float64
	steps    int
}

func newSearch(need load, pods []candidate) *search {
	s := &search{need: make(load, len(need)), bestCost: math.Inf(1)}
	for i := range need {
		s.need[i] = max(need[i], 0)
	}
	for _, p := range pods {
		if s.relief(p) > 0 {
			s.pods = append(s.pods, p)
		}
	}
	slices.SortStableFunc(s.pods, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost/s.relief(a), b.cost/s.relief(b)), cmp.Compare(a.name, b.name))
	})
	s.rest, s.price = make([]load, len(s.pods)+1), make([]load, len(s.pods)+1)
	s.rest[len(s.pods)], s.price[len(s.pods)] = make(load, len(need)), make(load, len(need))
	for r := range need {
		s.price[len(s.pods)][r] = math.Inf(1)
	}
	for i := len(s.pods) - 1; i >= 0; i-- {
		p := s.pods[i]
		s.rest[i] = s.rest[i+1].plus(p.used)
		s.price[i] = slices.Clone(s.price[i+1])
		for r, used := range p.used {
			if used > 0 {
				s.price[i][r] = min(s.price[i][r], p.cost/used)
			}
		}
	}
	return s
}

// relief is the sum of the parts of the need that a pod covers.
func (s *search) relief(p candidate) (sum float64) {
	for r, need := range s.need {
		if need > 0 {
			sum += min(p.used[r]/need, 1)
		}
	}
	return sum
}

// coverable reports whether the pods from i on can cover the need.
func (s *search) coverable(i int, need load) bool { return need.within(s.rest[i]) }

// greedy takes pods in order until the need is covered, and then leaves out again, the dearest first, what is not needed.
func (s *search) greedy() {
	need := slices.Clone(s.need)
	for _, p := range s.pods {
		if covered(need) {
			break
		}
		s.best = append(s.best, p)
		need = need.minus(p.used)
	}
	byCost := slices.Clone(s.best)
	slices.SortStableFunc(byCost, func(a, b candidate) int { return cmp.Compare(b.cost, a.cost) })
	for _, p := range byCost {
		if without := need.plus(p.used); covered(without) {
			need = without
			s.best = slices.DeleteFunc(s.best, func(c candidate) bool { return c.name == p.name })
		}
	}
	s.bestCost = 0
	for _, p := range s.best {
		s.bestCost += p.cost
	}
}

// branch decides on the pods from i on, with and without each, where that can still be cheaper than the best.
func (s *search) branch(i int, need load, cost float64, chosen []candidate) {
	if covered(need) {
		if cost < s.bestCost {
			s.best, s.bestCost = slices.Clone(chosen), cost
		}
		return
	}
	s.steps++
	if s.steps > maxSteps || i == len(s.pods) || !s.coverable(i, need) || cost+s.atLeast(i, need) >= s.bestCost {
		return
	}
	p := s.pods[i]
	s.branch(i+1, need.minus(p.used), cost+p.cost, append(chosen, p))
	s.branch(i+1, need, cost, chosen)
}

// atLeast bounds from below what covering the need with the pods from i on costs, as if pods could be divided.
func (s *search) atLeast(i int, need load) (bound float64) {
	for r := range need {
		if need[r] > 0 {
			bound = max(bound, need[r]*s.price[i][r])
		}
	}
	return bound
}

func covered(need load) bool {
	for _, n := range need {
		if n > 0 {
			return false
		}
	}
	return true
}
