package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AddNode starts one more node and returns when it is Ready and has all images.
func (c *Cluster) AddNode(ctx context.Context) (Node, error) {
	var n Node
	err := c.update(func(s *state) {
		for i := 1; i <= MaxNodes && n.Index == 0; i++ {
			if !slices.ContainsFunc(s.Nodes, func(other Node) bool { return other.Index == i }) {
				n = nodeAt(i)
				s.Nodes = append(s.Nodes, n)
			}
		}
	})
	if err != nil {
		return n, err
	}
	if n.Index == 0 {
		return n, fmt.Errorf("adding a node: there are %d already", MaxNodes)
	}
	return n, c.StartNode(ctx, n.Name)
}

// StartNode starts a node that is down, as after a power cut: its disk is as it was. It returns when the node is Ready
// and has all images.
func (c *Cluster) StartNode(ctx context.Context, name string) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	booted := time.Now()
	if err := c.bootNode(n); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.importAll(ctx, n) })
	group.Go(func() error { return c.awaitNode(ctx, name, booted) })
	return group.Wait()
}

// KillNode ends a node as a power cut does: all its processes at once, nobody is told.
func (c *Cluster) KillNode(ctx context.Context, name string) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	p := s.Processes[name]
	thaw(name)
	if err := p.kill(syscall.SIGKILL); err != nil {
		return err
	}
	if err := p.awaitEnd(ctx); err != nil {
		return err
	}
	n, err := c.node(name)
	if err != nil {
		return err
	}
	return errors.Join(removeLink(n.link()), removeCgroups(ctx, name))
}

// DisconnectNode pulls the node's network plug.
func (c *Cluster) DisconnectNode(name string) error { return c.plug(name, netlink.LinkSetDown) }

// ReconnectNode puts it back.
func (c *Cluster) ReconnectNode(name string) error {
	return c.plug(name, netlink.LinkSetUp)
}

// SlowNode limits what the network brings to a node, until QuickenNode.
func (c *Cluster) SlowNode(name string, bytesPerSecond uint64) error {
	const burst, queue = 256 << 10, 1 << 20
	return c.plug(name, func(link netlink.Link) error {
		return netlink.QdiscReplace(&netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
			Rate:       bytesPerSecond, Buffer: netlink.Xmittime(bytesPerSecond, burst), Limit: queue,
		})
	})
}

// QuickenNode takes the limit away.
func (c *Cluster) QuickenNode(name string) error {
	return c.plug(name, func(link netlink.Link) error {
		return netlink.QdiscDel(&netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		})
	})
}

func (c *Cluster) plug(name string, set func(netlink.Link) error) error {
	n, err := c.node(name)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(n.link())
	if err != nil {
		return fmt.Errorf("finding the link of %s: %w", name, err)
	}
	return set(link)
}

func (c *Cluster) node(name string) (Node, error) {
	nodes, err := c.nodes()
	if err != nil {
		return Node{}, err
	}
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, fmt.Errorf("finding node %q: the cluster has no such node", name)
	}
	return nodes[i], nil
}

func (c *Cluster) nodes() ([]Node, error) {
	s, err := c.load()
	return s.Nodes, err
}

// bootNode starts the node's PID 1 and connects it; the rest happens inside (package node).
func (c *Cluster) bootNode(n Node) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if s.Processes[n.Name].alive() {
		return fmt.Errorf("starting %s: it is running", n.Name)
	}
	if err := c.writeNode(n, s); err != nil {
		return err
	}
	wait, connected, err := os.Pipe()
	if err != nil {
		return err
	}
	defer wait.Close()      //nolint:errcheck // nothing was written
	defer connected.Close() //nolint:errcheck // nothing was written; this lets the node go on
	cmd := exec.Command(s.NodeInit, "init", c.specPath(n.Name))
	cmd.ExtraFiles = []*os.File{wait}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// The mount namespace is unshared, not cloned: only then does Go keep mounts from propagating to the host.
		Unshareflags: syscall.CLONE_NEWNS,
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
	}
	if err := c.start(n.Name, cmd); err != nil {
		return err
	}
	return connect(n, cmd.Process.Pid)
}

// awaitContainerd waits until the node's runtime can be spoken to.
func (c *Cluster) awaitContainerd(ctx context.Context, n Node) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	p := s.Processes[n.Name]
	return poll(ctx, "containerd on "+n.Name, func(ctx context.Context) (bool, error) {
		if !p.alive() {
			return false, fmt.Errorf("%s has ended, see logs/%s.log", n.Name, n.Name)
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.containerdOf(p))
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
}

// awaitNode waits for the kubelet to report Ready. What it reported before since was an earlier life.
func (c *Cluster) awaitNode(ctx context.Context, name string, since time.Time) error {
	since = since.Truncate(time.Second) // as the API does
	client, err := c.client()
	if err != nil {
		return err
	}
	return poll(ctx, name+" to be Ready (see logs/"+name+"/kubelet.log)", func(ctx context.Context) (bool, error) {
		if err := c.ended(); err != nil {
			return false, err
		}
		n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, nil // not registered yet
		}
		return slices.ContainsFunc(n.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue &&
				!condition.LastHeartbeatTime.Time.Before(since)
		}), nil
	})
}
