//go:build integration

package clients

import "sync"

// meeting of programs that run the same cases: what they ask for concerns all of them, and is done once, when all have
// come to where they ask for it.
type meeting struct {
	do func(what string) error

	mu      sync.Mutex
	changed sync.Cond
	// present programs, and how many of them wait for what.
	present, waiting int
	what             string
	// round that is going on; err is how the last one went.
	round int
	err   error
}

func newMeeting(present int, do func(string) error) *meeting {
	m := &meeting{present: present, do: do}
	m.changed.L = &m.mu
	return m
}

func (m *meeting) ask(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.what = what
	m.waiting++
	for round := m.round; m.round == round; {
		if m.waiting < m.present {
			m.changed.Wait()
			continue
		}
		m.err = m.do(m.what)
		m.waiting = 0
		m.round++
		m.changed.Broadcast()
	}
	return m.err
}

// leave it: nobody waits for this program any more.
func (m *meeting) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.present--
	m.changed.Broadcast()
}
