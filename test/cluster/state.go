package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// state is what has to be known to use the cluster from another process and to take it away, even after the harness
// was killed. It is written before or right after each thing that outlives the harness.
type state struct {
	Root  string `json:"root"`  // the project
	Cache string `json:"cache"` // build.Cache.Dir
	// Ready says that Up has finished.
	Ready bool   `json:"ready"`
	Nodes []Node `json:"nodes"`
	// Processes of the control plane and the nodes' PID 1 by name.
	Processes map[string]process `json:"processes"`
	// Images are the archives that every node gets.
	Images []string `json:"images"`
	// NodeRoot is the nodes' lower file system, NodeInit their PID 1.
	NodeRoot string `json:"nodeRoot"`
	NodeInit string `json:"nodeInit"`
	// CRIU is the folder of the CRIU that the product's image has.
	CRIU string `json:"criu"`
	// Sysctls are the host's values before the cluster, by path.
	Sysctls map[string]string `json:"sysctls"`
	// Firewall says that rules were added to the host's iptables.
	Firewall bool `json:"firewall"`
}

// Node of the cluster.
type Node struct {
	Name string `json:"name"`
	// Index is 1 to MaxNodes; addresses follow from it.
	Index int `json:"index"`
}

func nodeAt(index int) Node { return Node{Name: fmt.Sprintf("node%d", index), Index: index} }

// IP is the node's address.
func (n Node) IP() string { return fmt.Sprintf("10.213.0.%d", 10+n.Index) }

// podSubnet is where the node's pods have their addresses.
func (n Node) podSubnet() string { return fmt.Sprintf("10.214.%d.0/24", n.Index) }

// link is the host's side of the node's link.
func (n Node) link() string { return fmt.Sprintf("ms2mn%d", n.Index) }

func (c *Cluster) statePath() string { return filepath.Join(c.dir, "state.json") }

// load reads the state; fs.ErrNotExist says that there is none.
func (c *Cluster) load() (state, error) {
	var s state
	content, err := os.ReadFile(c.statePath())
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("reading %s: %w", c.statePath(), err)
	}
	return s, nil
}

// update changes the state; other harnesses that use the same cluster wait meanwhile.
func (c *Cluster) update(change func(*state)) (err error) {
	lock, err := os.OpenFile(c.statePath()+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("locking the cluster's state: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking the cluster's state: %w", err)
	}
	s, err := c.load()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	change(&s)
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := c.statePath() + ".new"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("writing the cluster's state: %w", err)
	}
	return os.Rename(tmp, c.statePath())
}
