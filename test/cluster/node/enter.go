package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Enter runs argv inside the node whose PID 1 is pid on the host: in its namespaces and its cgroups, so that daemons
// started this way belong to the node too. It returns the exit code.
func Enter(specFile string, pid int, argv []string) (int, error) {
	spec, err := readSpec(specFile)
	if err != nil {
		return 0, err
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	names := []string{"cgroup", "ipc", "uts", "net", "pid", "mnt"} // mnt last: it hides the host's /proc
	var files []*os.File
	for _, name := range names {
		f, err := os.Open(filepath.Join(proc, "ns", name))
		if err != nil {
			return 0, fmt.Errorf("entering the node: %w", err)
		}
		defer f.Close() //nolint:errcheck // opened for reading
		files = append(files, f)
	}
	if err := join(spec.Cgroups, systemGroup); err != nil {
		return 0, err
	}
	runtime.LockOSThread() // for good: the thread stays in the node
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return 0, fmt.Errorf("leaving the host's root: %w", err)
	}
	for i, f := range files {
		if err := unix.Setns(int(f.Fd()), 0); err != nil {
			return 0, fmt.Errorf("entering the node's %s namespace: %w", names[i], err)
		}
	}
	return run(argv)
}

func run(argv []string) (int, error) {
	if err := errors.Join(os.Chdir("/"), os.Setenv("PATH", Path), os.Setenv("HOME", "/root")); err != nil {
		return 0, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
