package node

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// networkReady is the descriptor that the harness closes once the node's link exists.
const networkReady = 3

// Init is the first stage of the node that the spec describes. It is PID 1 of new mount, PID, UTS, IPC and network
// namespaces and does not return unless something fails. booting gives the arguments that start Boot.
func Init(specFile string, booting func(specFile string) []string) error {
	spec, err := readSpec(specFile)
	if err != nil {
		return err
	}
	if _, err := io.ReadAll(os.NewFile(networkReady, "network")); err != nil {
		return fmt.Errorf("waiting for the node's link: %w", err)
	}
	if err := join(spec.Cgroups, ""); err != nil {
		return err
	}
	// A cgroup namespace is rooted where its creator is, so it comes after joining; and it belongs to a thread, so the
	// program starts over on this one.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	return syscall.Exec("/proc/self/exe", booting(specFile), os.Environ())
}

// Boot is the second stage of Init.
func Boot(specFile string) error {
	spec, err := readSpec(specFile)
	if err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := setUpNetwork(spec); err != nil {
		return err
	}
	if err := enterRoot(spec); err != nil {
		return err
	}
	if err := forward(); err != nil {
		return err
	}
	return supervise(spec)
}
