package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

// node tells what keeps this node from being source or target.
func (a *Agent) node(r *http.Request) (any, error) { return a.report(r.Context()), nil }

func (a *Agent) report(ctx context.Context) client.Node {
	n := client.Node{Name: a.options.NodeName}
	if cpuinfo, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		n.CPU = cpuFeatures(string(cpuinfo))
		n.CPUClass = cpuClass(n.CPU)
	}
	if err := writable(a.options.Root); err != nil {
		n.Problems = append(n.Problems, fmt.Sprintf("the folder %s cannot be written: %v", a.options.Root, err))
	}
	if err := writable(a.options.Checkpoints); err != nil {
		n.Problems = append(n.Problems, fmt.Sprintf("the kubelet's folder of checkpoints cannot be written: %v", err))
	}
	if err := a.kubelet.Check(ctx); err != nil {
		n.Problems = append(n.Problems, err.Error())
	}
	n.Problems = append(n.Problems, a.wrapper(&n)...)
	return n
}

// wrapper fills in what the runtime wrapper has recorded, which it does when a container runtime with its handler starts.
func (a *Agent) wrapper(n *client.Node) []string {
	rec, err := fcc.ReadNodeRecord(a.options.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{"no container runtime has started here yet with the runtime handler " + v1alpha1.RuntimeClass + ": does the DaemonSet ms2m-node run on this node, and what does it log?"}
	}
	if err != nil {
		return []string{err.Error()}
	}
	n.Runc, n.CRIU, n.Kernel = rec.Runc, rec.CRIU, rec.Kernel
	var problems []string
	if rec.Runc == "" {
		problems = append(problems, "the runtime wrapper finds no runc: name it in /etc/ms2m/runc.json")
	}
	if rec.CRIU == "" {
		problems = append(problems, "the node has no criu: install CRIU 4.2 or later and restart the container runtime")
	}
	return problems
}

func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".writable-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
