package build

import (
	"context"
	"os/exec"
	"syscall"
)

// Bind is a folder of the host that is seen in a root file system.
type Bind struct{ From, To string }

// enterScript is PID 1 of the program's namespaces until it becomes the program. Its arguments are the root, the user,
// the binds in pairs up to --, and the program's.
const enterScript = `root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done
shift
exec chroot --userspec="$user:$user" "$root" "$@"`

// Enter makes a command that runs a program in a root file system, as a container would but on the host's network: the
// root is read-only, and the mounts, in a namespace of their own, end with the program. user is a number.
func Enter(ctx context.Context, root, user string, binds []Bind, program ...string) *exec.Cmd {
	args := []string{"-ec", enterScript, "sh", root, user}
	for _, b := range binds {
		args = append(args, b.From, b.To)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append(append(args, "--"), program...)...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		// Unshared, not cloned: only then does Go keep mounts from propagating to the host.
		Unshareflags: syscall.CLONE_NEWNS,
		Cloneflags:   syscall.CLONE_NEWPID,
	}
	return cmd
}
