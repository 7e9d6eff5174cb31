package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// NodeCommand is a command that runs argv inside the node, in its namespaces and cgroups. argv[0] is looked for in the
// node's PATH.
func (c *Cluster) NodeCommand(ctx context.Context, name string, argv ...string) (*exec.Cmd, error) {
	s, err := c.load()
	if err != nil {
		return nil, err
	}
	p, ok := s.Processes[name]
	if !ok || !p.alive() {
		return nil, fmt.Errorf("entering %q: there is no such node running", name)
	}
	args := append([]string{"enter", c.specPath(name), strconv.Itoa(p.PID)}, argv...)
	return exec.CommandContext(ctx, s.NodeInit, args...), nil
}

// endTogether makes cmd and what it started end when its context does. Not for commands that read a terminal.
func endTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// NodeExec runs argv inside the node and returns what it printed to its standard output.
func (c *Cluster) NodeExec(ctx context.Context, name string, argv ...string) (string, error) {
	cmd, err := c.NodeCommand(ctx, name, argv...)
	if err != nil {
		return "", err
	}
	endTogether(cmd)
	return output(cmd, name+": "+strings.Join(argv, " "))
}

// Kubectl runs the cluster's kubectl as its administrator and returns what it printed to its standard output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.kubectl(ctx, "", args...)
}

// Apply applies manifests, server-side.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	_, err := c.kubectl(ctx, manifests, "apply", "--server-side", "--force-conflicts", "--field-manager=cluster", "-f", "-")
	return err
}

func (c *Cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Bin("kubectl"), args...)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+c.Kubeconfig())
	cmd.Stdin = strings.NewReader(stdin)
	return output(cmd, "kubectl "+strings.Join(args, " "))
}

func output(cmd *exec.Cmd, what string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("running %s: %w: %s", what, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
