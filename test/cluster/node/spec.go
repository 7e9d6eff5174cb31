package node

import (
	"encoding/json"
	"fmt"
	"os"
)

// Spec is all that a node's PID 1 is told. Paths are the host's.
type Spec struct {
	Name string
	// Root is the shared lower file system; Upper and Work are the node's own layer over it, Mount where both meet.
	Root, Upper, Work, Mount string
	// Binds maps folders of the node to folders of the host. What must not lie on an overlay is here.
	Binds map[string]string
	// Address is the node's, with the prefix length of the node network; Gateway is the host's.
	Address, Gateway string
	// APIServer is host:port.
	APIServer string
	Cgroups   []Cgroup
	Services  []Service
}

// Service is a program that PID 1 keeps running.
type Service struct {
	Name string
	Argv []string
	// AfterAPI starts it when the API server can be reached.
	AfterAPI bool
}

// Cgroup is the node's group in one hierarchy of the host.
type Cgroup struct {
	// Path is the group's folder on the host.
	Path string
	// Name is the hierarchy's folder below /sys/fs/cgroup in the node, "" for version 2.
	Name string
	// Options mount the hierarchy: "memory", "cpu,cpuacct", "none,name=systemd".
	Options string
}

func readSpec(file string) (Spec, error) {
	var spec Spec
	content, err := os.ReadFile(file)
	if err != nil {
		return spec, fmt.Errorf("reading the node's spec: %w", err)
	}
	return spec, json.Unmarshal(content, &spec)
}
