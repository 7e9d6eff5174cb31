package broker

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// initScript is PID 1 of the broker's namespaces: with it end all its processes and mounts. It stays root, for the
// kernel forgets whose death is to kill a process when that changes its user.
const initScript = `root=$1 folder=$2 user=$3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$folder/data" "$root/var/lib/rabbitmq"
mount --bind "$folder/config" "$root/etc/rabbitmq"
chroot --userspec="$user:$user" "$root" /usr/lib/rabbitmq/bin/rabbitmq-server &
broker=$!
trap 'kill -TERM $broker' TERM
while kill -0 $broker 2>/dev/null; do wait $broker || :; done`

// process is PID 1 of a running broker.
type process struct {
	cmd *exec.Cmd
	// ended is closed when it and all others of its PID namespace have.
	ended chan struct{}
}

func start(root, folder string, environment []string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(folder, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	cmd := exec.Command("/bin/sh", "-ec", initScript, "sh", root, folder, strconv.Itoa(user))
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", environment, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
		// Unshared, not cloned: only then does Go keep mounts from propagating to the host.
		Unshareflags: syscall.CLONE_NEWNS,
		Cloneflags:   syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// terminate lets the broker shut down, or kills it when ctx ends before. It may have ended already.
func (p *process) terminate(ctx context.Context) error {
	if p == nil {
		return nil
	}
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err := errors.Join(err, p.thaw()); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		p.kill()
		return ctx.Err()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.ended
}
