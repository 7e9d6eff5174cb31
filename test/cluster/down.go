package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lock keeps two harnesses from starting or ending clusters in one folder at the same time.
func (c *Cluster) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the cluster's folder: %w", err)
	}
	f, err := os.Open(c.dir)
	if err != nil {
		return nil, fmt.Errorf("opening the cluster's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: another process is starting or ending a cluster there: %w", c.dir, err), f.Close())
	}
	return f.Close, nil
}

// Down ends the cluster's processes and removes everything of it from the machine but its logs. It also takes away
// what a killed harness left, and is no error when there is nothing.
func (c *Cluster) Down(ctx context.Context) (err error) {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return c.takeDown(ctx)
}

func (c *Cluster) takeDown(ctx context.Context) error {
	owner, err := bridgeOwner()
	if err != nil {
		return err
	}
	s, err := c.load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	known := err == nil
	for _, n := range s.Nodes {
		thaw(n.Name)
	}
	if err := endProcesses(ctx, slices.Concat(c.controlPlane(), slices.Collect(maps.Values(s.Processes)))); err != nil {
		return fmt.Errorf("taking the cluster down: %w", err)
	}
	// Links and cgroups have fixed names: they may belong to a cluster in another folder.
	if owner == c.dir || known && owner == "" {
		if err := removeFromHost(ctx, s); err != nil {
			return fmt.Errorf("taking the cluster down: %w", err)
		}
	}
	var errs []error
	for _, name := range []string{"bin", "etcd", "images", "nodes", "pki", "kubeconfig", "node-init", "state.json", "state.json.lock"} {
		errs = append(errs, os.RemoveAll(filepath.Join(c.dir, name)))
	}
	return errors.Join(errs...)
}

// controlPlane finds the programs of the control plane by their paths, recorded or not.
func (c *Cluster) controlPlane() []process {
	var found []process
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil {
			continue // it has ended
		}
		dir, name := filepath.Split(strings.TrimSuffix(exe, " (deleted)"))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil || dir != c.Bin("")+"/" || !slices.Contains(controlPlanePrograms, name) {
			continue
		}
		if _, start, err := processStat(pid); err == nil {
			found = append(found, process{PID: pid, Start: start})
		}
	}
	return found
}

func endProcesses(ctx context.Context, processes []process) error {
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.kill(syscall.SIGKILL))
	}
	for _, p := range processes {
		errs = append(errs, p.awaitEnd(ctx))
	}
	return errors.Join(errs...)
}

// removeFromHost removes what all possible nodes have on the host, also when the state is lost or a harness was killed
// before it could record a node.
func removeFromHost(ctx context.Context, s state) error {
	var errs []error
	for i := 1; i <= MaxNodes; i++ {
		n := nodeAt(i)
		errs = append(errs, endCgroup(n.Name), removeLink(n.link()), removeCgroups(ctx, n.Name))
	}
	return errors.Join(append(errs, tearDownNetwork(s))...)
}
