package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/test/cluster/node"
)

// cgroupPrefix begins the names of the nodes' groups at the top of each hierarchy.
const cgroupPrefix = "ms2m-"

// hierarchies are the host's: one per controller under version 1, a single one under version 2.
func hierarchies() ([]node.Cgroup, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("finding cgroups: %w", err)
	}
	found := parseHierarchies(string(mounts))
	if len(found) == 0 {
		return nil, errors.New("finding cgroups: none are mounted in /sys/fs/cgroup")
	}
	return found, nil
}

// parseHierarchies reads mountinfo. On a hybrid host the version 2 hierarchy has no controllers and is left out.
func parseHierarchies(mountinfo string) []node.Cgroup {
	var version1, version2 []node.Cgroup
	for line := range strings.Lines(mountinfo) {
		mount, super, ok := strings.Cut(line, " - ")
		fields, superFields := strings.Fields(mount), strings.Fields(super)
		if !ok || len(fields) < 5 || len(superFields) < 3 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		path := fields[4]
		known := func(g node.Cgroup) bool { return g.Path == path }
		switch {
		case superFields[0] == "cgroup2" && path == "/sys/fs/cgroup":
			version2 = []node.Cgroup{{Path: path}}
		case superFields[0] == "cgroup" && !slices.ContainsFunc(version1, known):
			version1 = append(version1, node.Cgroup{Path: path, Name: filepath.Base(path), Options: cgroup1Options(superFields[2])})
		}
	}
	if len(version2) > 0 {
		return version2
	}
	return version1
}

// cgroup1Options keeps of a mount's options those that choose the hierarchy.
func cgroup1Options(super string) string {
	var options []string
	for option := range strings.SplitSeq(super, ",") {
		switch {
		case option == "rw", option == "ro", option == "xattr", option == "clone_children",
			strings.HasPrefix(option, "release_agent="):
		case strings.HasPrefix(option, "name="):
			options = append(options, "none", option)
		default:
			options = append(options, option)
		}
	}
	return strings.Join(options, ",")
}

// makeCgroups makes the node's groups.
func makeCgroups(name string) ([]node.Cgroup, error) {
	groups, err := hierarchies()
	if err != nil {
		return nil, err
	}
	for i, g := range groups {
		groups[i].Path = filepath.Join(g.Path, cgroupPrefix+name)
		if err := os.MkdirAll(groups[i].Path, 0o755); err != nil {
			return nil, fmt.Errorf("making the cgroup of %s: %w", name, err)
		}
		if g.Name == "" {
			err = enableControllers(g.Path)
		} else if strings.Contains(g.Options, "cpuset") {
			err = fillCpuset(g.Path, groups[i].Path)
		}
		if err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// enableControllers hands what the host's root group has on to the groups below it (version 2).
func enableControllers(root string) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading cgroup controllers: %w", err)
	}
	for controller := range strings.FieldsSeq(string(available)) {
		err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0)
		needed := slices.Contains([]string{"cpu", "cpuset", "memory", "pids"}, controller)
		if err != nil && needed {
			return fmt.Errorf("enabling the cgroup controller %s (in a container, start it with the host's cgroup namespace): %w", controller, err)
		}
	}
	return nil
}

// fillCpuset gives a version 1 group its parent's processors: a new one has none.
func fillCpuset(parent, group string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if err != nil {
			return fmt.Errorf("reading the host's cpuset: %w", err)
		}
		if err := os.WriteFile(filepath.Join(group, file), value, 0); err != nil {
			return fmt.Errorf("setting the node's cpuset: %w", err)
		}
	}
	return os.WriteFile(filepath.Join(group, "cgroup.clone_children"), []byte("1"), 0)
}

// thaw lets frozen processes of the node run: under version 1 they cannot die before.
func thaw(name string) {
	_ = walkCgroups(name, func(dir string) error {
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0) // only there in one hierarchy
		return nil
	})
}

// endCgroup kills what is left in the node's groups.
func endCgroup(name string) error {
	thaw(name)
	return walkCgroups(name, func(dir string) error {
		pids, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return nil //nolint:nilerr // removed meanwhile
		}
		for pid := range strings.FieldsSeq(string(pids)) {
			if n, err := strconv.Atoi(pid); err == nil && n > 0 {
				_ = unix.Kill(n, unix.SIGKILL) // may have ended by now
			}
		}
		return nil
	})
}

// removeCgroups removes the groups of a node that has ended, deepest first.
func removeCgroups(ctx context.Context, name string) error {
	return poll(ctx, "the cgroups of "+name+" to empty", func(context.Context) (bool, error) {
		var dirs []string
		if err := walkCgroups(name, func(dir string) error { dirs = append(dirs, dir); return nil }); err != nil {
			return false, err
		}
		for _, dir := range slices.Backward(dirs) {
			_ = os.Remove(dir) // busy while a process is still ending
		}
		return len(dirs) == 0, nil
	})
}

func walkCgroups(name string, visit func(dir string) error) error {
	groups, err := hierarchies()
	if err != nil {
		return err
	}
	for _, g := range groups {
		err := filepath.WalkDir(filepath.Join(g.Path, cgroupPrefix+name), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || !d.IsDir() {
				return err
			}
			return visit(path)
		})
		if err != nil {
			return fmt.Errorf("walking cgroups: %w", err)
		}
	}
	return nil
}
