package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The two ends of the link.
const (
	source, target           = "ms2m-bench-a", "ms2m-bench-b"
	sourceIP, targetIP       = "10.216.0.1", "10.216.0.2"
	agentPort, registryPort  = "9443", "5000"
	sshPort, rsyncPort       = "2222", "8730"
	startBound, pollInterval = 30 * time.Second, 20 * time.Millisecond
)

// bench is the link, and what listens at its far end.
type bench struct {
	dir     string
	servers []*exec.Cmd
	// senderPeak is the most memory that a sending agent had, in MiB.
	senderPeak float64
}

// needs are programs of the host, and the Debian packages that bring them.
var needs = map[string]string{"ip": "iproute2", "rsync": "rsync", "scp": "openssh-client", "/usr/sbin/sshd": "openssh-server", "ssh-keygen": "openssh-client"}

func setUp(ctx context.Context) (_ *bench, err error) {
	if err := install(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ms2m-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.takeDown())
		}
	}()
	_ = removeLink() // of a run that was killed
	for _, args := range []string{
		"netns add " + source, "netns add " + target,
		"link add eth0 netns " + source + " type veth peer name eth0 netns " + target,
		"-n " + source + " addr add " + sourceIP + "/24 dev eth0", "-n " + target + " addr add " + targetIP + "/24 dev eth0",
		"-n " + source + " link set eth0 up", "-n " + target + " link set eth0 up",
		"-n " + source + " link set lo up", "-n " + target + " link set lo up",
	} {
		if err := run(exec.CommandContext(ctx, "ip", strings.Fields(args)...)); err != nil {
			return nil, err
		}
	}
	return b, b.startServers(ctx)
}

// install what the host lacks, with its package manager.
func install(ctx context.Context) error {
	var missing []string
	for program, packageName := range needs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, packageName)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Println("Installing Debian packages: apt-get install", strings.Join(missing, " "))
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)...)
	// A server that is only needed for the measurement is not started on the host.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	return run(cmd)
}

func removeLink() error {
	var errs []error
	for _, ns := range []string{source, target} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			errs = append(errs, run(exec.Command("ip", "netns", "delete", ns)))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) takeDown() error {
	for _, s := range b.servers {
		_ = syscall.Kill(-s.Process.Pid, syscall.SIGKILL)
		_ = s.Wait()
	}
	return errors.Join(removeLink(), os.RemoveAll(b.dir))
}

// at is a command at one end of the link.
func at(ctx context.Context, end string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", end}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// self is a subcommand of this program at one end of the link.
func self(ctx context.Context, end string, args ...string) *exec.Cmd {
	return at(ctx, end, append([]string{executable()}, args...)...)
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "/proc/self/exe"
	}
	return path
}

func run(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// startServers at the far end: the agent's, sshd, rsync's, a registry.
func (b *bench) startServers(ctx context.Context) error {
	if err := b.writeConfigs(ctx); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{executable(), "serve", "--dir", b.dir},
		{executable(), "registry", "--dir", b.dir},
		{"/usr/sbin/sshd", "-D", "-e", "-f", b.path("sshd_config")},
		{"rsync", "--daemon", "--no-detach", "--config", b.path("rsyncd.conf")},
	} {
		cmd := at(ctx, target, argv...)
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("starting %s: %w", argv[0], err)
		}
		b.servers = append(b.servers, cmd)
	}
	for _, port := range []string{agentPort, registryPort, sshPort, rsyncPort} {
		if err := b.awaitPort(ctx, port); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) awaitPort(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		err := run(at(ctx, source, "bash", "-c", "exec 3<>/dev/tcp/"+targetIP+"/"+port))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("awaiting port %s: %w", port, err)
		case <-time.After(pollInterval):
		}
	}
}

func (b *bench) writeConfigs(ctx context.Context) error {
	for _, folder := range []string{b.path("copies"), b.path("agent"), b.path("registry"), "/run/sshd"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for _, key := range []string{"host", "user"} {
		if err := run(exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", b.path(key))); err != nil {
			return err
		}
	}
	sshd := fmt.Sprintf("Port %s\nListenAddress %s\nHostKey %s\nAuthorizedKeysFile %s\nPermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n",
		sshPort, targetIP, b.path("host"), b.path("user.pub"))
	rsync := fmt.Sprintf("port = %s\naddress = %s\nuid = root\ngid = root\nuse chroot = no\npid file = %s\n[copies]\npath = %s\nread only = no\n",
		rsyncPort, targetIP, b.path("rsyncd.pid"), b.path("copies"))
	return errors.Join(
		os.WriteFile(b.path("sshd_config"), []byte(sshd), 0o600),
		os.WriteFile(b.path("rsyncd.conf"), []byte(rsync), 0o600),
		writeIdentities(b.dir))
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
