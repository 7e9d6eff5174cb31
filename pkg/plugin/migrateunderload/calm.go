package migrateunderload

// calm remembers, per node and in cycles in a row, for how long it has been too full and for how long nothing has been
// moved. Both begin anew with a move, since measured usage follows it only after a while.
type calm struct {
	cycles int
	nodes  map[string]spell
}

type spell struct{ hot, quiet int }

// observe takes the nodes of this cycle, with those that are busy with moves, and says which give and which take pods.
// It forgets nodes that are not among them.
func (c *calm) observe(nodes []*machine, busy func(node string) bool) {
	next := make(map[string]spell, len(nodes))
	for _, n := range nodes {
		s := c.nodes[n.name]
		if s.quiet++; busy(n.name) {
			s = spell{}
		}
		if s.hot++; !n.hot() || s.quiet == 0 {
			s.hot = 0
		}
		next[n.name] = s
		n.gives = s.hot >= c.cycles
		n.takes = s.quiet >= c.cycles
	}
	c.nodes = next
}
