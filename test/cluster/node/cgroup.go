package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// systemGroup holds the node's own processes under cgroup version 2, where a group that has children with controllers
// may hold none itself.
const systemGroup = "system"

// join moves the calling process into the groups.
func join(groups []Cgroup, below string) error {
	for _, g := range groups {
		dir := g.Path
		if g.Name == "" {
			dir = filepath.Join(g.Path, below)
		}
		// 0 is the writer, whatever PID namespace it is in.
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("joining the node's cgroup: %w", err)
		}
	}
	return nil
}

// mountCgroups mounts the node's own view: its groups are the roots.
func mountCgroups(groups []Cgroup, dir string) error {
	if len(groups) == 1 && groups[0].Name == "" {
		return mountCgroup2(dir)
	}
	return mountCgroup1(groups, dir)
}

func mountCgroup1(groups []Cgroup, dir string) error {
	if err := mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, g := range groups {
		target := filepath.Join(dir, g.Name)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", target, "cgroup", 0, g.Options); err != nil {
			return err
		}
		for alias := range strings.SplitSeq(g.Name, ",") {
			if alias != g.Name { // cpu,cpuacct is also looked for as cpu
				if err := os.Symlink(g.Name, filepath.Join(dir, alias)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func mountCgroup2(dir string) error {
	if err := mount("cgroup2", dir, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	leaf := filepath.Join(dir, systemGroup)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("moving to the leaf cgroup: %w", err)
	}
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for c := range strings.FieldsSeq(string(controllers)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
			return fmt.Errorf("enabling the cgroup controller %s: %w", c, err)
		}
	}
	return nil
}
