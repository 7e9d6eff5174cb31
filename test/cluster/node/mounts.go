package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// devices are those that container runtimes expect. The folder must be the node's own: CRIU cannot dump descriptors
// of files on mounts of another namespace.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"kmsg", 1, 11},
	{"tty", 5, 0}, {"net/tun", 10, 200},
}

// enterRoot makes the node's root and moves into it.
func enterRoot(s Spec) error {
	steps := []func() error{
		func() error {
			return mount("overlay", s.Mount, "overlay", 0, "lowerdir="+s.Root+",upperdir="+s.Upper+",workdir="+s.Work)
		},
		func() error { return mountAPIs(s.Mount) },
		func() error { return mountDevices(filepath.Join(s.Mount, "dev")) },
		func() error { return mountBinds(s) },
		func() error { return mountCgroups(s.Cgroups, filepath.Join(s.Mount, "sys/fs/cgroup")) },
		func() error { return pivot(s.Mount) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func mountAPIs(root string) error {
	return errors.Join(
		mount("proc", filepath.Join(root, "proc"), "proc", 0, ""),
		mount("sysfs", filepath.Join(root, "sys"), "sysfs", 0, ""),
		mount("tmpfs", filepath.Join(root, "run"), "tmpfs", 0, "mode=755"),
		mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", 0, "mode=1777"))
}

func mountDevices(dev string) error {
	if err := mount("tmpfs", dev, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, folder := range []string{"pts", "shm", "net", "mqueue"} {
		if err := os.Mkdir(filepath.Join(dev, folder), 0o755); err != nil {
			return err
		}
	}
	for _, d := range devices {
		path := filepath.Join(dev, d.name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("making %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // past the umask
			return err
		}
	}
	return errors.Join(
		mount("devpts", filepath.Join(dev, "pts"), "devpts", 0, "newinstance,ptmxmode=0666,mode=620"),
		mount("tmpfs", filepath.Join(dev, "shm"), "tmpfs", 0, "mode=1777"),
		os.Symlink("pts/ptmx", filepath.Join(dev, "ptmx")),
		os.Symlink("/proc/self/fd", filepath.Join(dev, "fd")))
}

func mountBinds(s Spec) error {
	for inside, outside := range s.Binds {
		target := filepath.Join(s.Mount, inside)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := mount(outside, target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root is stacked on the new one and taken off at once.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("entering the node's root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the host's root: %w", err)
	}
	// Pods with Bidirectional mounts need the node's root to be shared, as systemd makes it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing the node's root: %w", err)
	}
	return os.Chdir("/")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", source, target, err)
	}
	return nil
}
