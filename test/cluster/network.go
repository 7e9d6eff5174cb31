package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"

	"ms2m.dev/ms2m-descheduler/test/cluster/node"
)

const (
	forwardSysctl = "/proc/sys/net/ipv4/ip_forward"
	// bridgeSysctl exists when bridged packets pass the packet filter, which Services between pods of one node need.
	bridgeSysctl = "/proc/sys/net/bridge/bridge-nf-call-iptables"
)

// setUpNetwork makes the bridge that joins host and nodes. The host routes between the nodes' pod networks.
func (c *Cluster) setUpNetwork() error {
	if _, err := os.Stat(bridgeSysctl); err != nil {
		if out, err := exec.Command("modprobe", "br_netfilter").CombinedOutput(); err != nil {
			return fmt.Errorf("loading the kernel module br_netfilter: %w: %s", err, out)
		}
	}
	link := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	link.Name = bridge
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("making the bridge %s: %w", bridge, err)
	}
	// The alias tells other harnesses whose it is.
	if err := netlink.LinkSetAlias(link, c.dir); err != nil {
		return fmt.Errorf("naming the bridge: %w", err)
	}
	address, err := netlink.ParseAddr(gateway + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("giving the bridge its address: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("starting the bridge: %w", err)
	}
	if err := c.setSysctl(forwardSysctl, "1"); err != nil {
		return err
	}
	return c.openFirewall()
}

// bridgeOwner is the folder of the cluster that is up on this machine, "" if none is.
func bridgeOwner() (string, error) {
	link, err := netlink.LinkByName(bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for the bridge: %w", err)
	}
	return link.Attrs().Alias, nil
}

func (c *Cluster) setSysctl(path, value string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if strings.TrimSpace(string(old)) == value {
		return nil
	}
	err = c.update(func(s *state) {
		if s.Sysctls == nil {
			s.Sysctls = map[string]string{}
		}
		s.Sysctls[path] = strings.TrimSpace(string(old))
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(value), 0)
}

// connect gives the node whose PID 1 is pid its link, and the host the route to its pods.
func connect(n Node, pid int) error {
	parent, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("finding the bridge: %w", err)
	}
	link := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: node.Interface, PeerNamespace: netlink.NsPid(pid)}
	link.Name, link.MasterIndex = n.link(), parent.Attrs().Index
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("making the link of %s: %w", n.Name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("starting the link of %s: %w", n.Name, err)
	}
	_, subnet, err := net.ParseCIDR(n.podSubnet())
	if err != nil {
		return err
	}
	if err := netlink.RouteReplace(&netlink.Route{Dst: subnet, Gw: net.ParseIP(n.IP())}); err != nil {
		return fmt.Errorf("routing to the pods of %s: %w", n.Name, err)
	}
	return nil
}

// removeLink removes a link of the host, with its addresses and routes, if it is there.
func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("removing the link %s: %w", name, err)
	}
	return nil
}

// tearDownNetwork undoes setUpNetwork; the nodes' links are gone with the nodes.
func tearDownNetwork(s state) error {
	errs := []error{removeLink(bridge)}
	for path, value := range s.Sysctls {
		errs = append(errs, os.WriteFile(path, []byte(value), 0))
	}
	if s.Firewall {
		errs = append(errs, firewall("-D"))
	}
	return errors.Join(errs...)
}

// openFirewall lets packets between nodes pass where the host drops what it forwards, as Docker makes it do.
func (c *Cluster) openFirewall() error {
	out, err := exec.Command("iptables", "-S", "FORWARD").Output()
	if err != nil || !strings.Contains(string(out), "-P FORWARD DROP") {
		return nil //nolint:nilerr // without iptables nothing is dropped by it
	}
	if err := c.update(func(s *state) { s.Firewall = true }); err != nil {
		return err
	}
	return firewall("-I")
}

func firewall(action string) error {
	for _, direction := range []string{"-i", "-o"} {
		if out, err := exec.Command("iptables", action, "FORWARD", direction, bridge, "-j", "ACCEPT").CombinedOutput(); err != nil {
			return fmt.Errorf("changing the host's firewall: %w: %s", err, out)
		}
	}
	return nil
}
