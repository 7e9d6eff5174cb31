package node

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// Interface is the node's side of its link to the host, which the host makes.
const Interface = "eth0"

func setUpNetwork(s Spec) error {
	for _, name := range []string{"lo", Interface} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("finding %s: %w", name, err)
		}
		if name == Interface {
			address, err := netlink.ParseAddr(s.Address)
			if err != nil {
				return fmt.Errorf("reading the node's address: %w", err)
			}
			if err := netlink.AddrAdd(link, address); err != nil {
				return fmt.Errorf("setting the node's address: %w", err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("starting %s: %w", name, err)
		}
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(s.Gateway)}); err != nil {
		return fmt.Errorf("setting the node's gateway: %w", err)
	}
	return nil
}

// forward lets the node route for its pods. Needs the node's own /proc.
func forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("enabling forwarding: %w", err)
	}
	return nil
}
