package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// outputShown is how much of a failed command's output goes into the error.
const outputShown = 4 << 10

// command is a program of the host that ends with its whole process group when ctx does.
type command struct {
	dir string
	env []string
	// chroot runs the program in this root.
	chroot string
	// private gives it mount and PID namespaces of its own: its mounts and daemons end with it.
	private bool
}

func (c command) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Chroot: c.chroot}
	if c.chroot != "" {
		cmd.Dir = "/"
	}
	if c.private {
		// Unshared, not cloned: only then does Go keep mounts from propagating to the host.
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		tail := out.Bytes()
		tail = tail[max(0, len(tail)-outputShown):]
		return fmt.Errorf("running %s %s: %w\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(tail))
	}
	return nil
}
