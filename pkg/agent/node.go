package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

// node tells what keeps this node from being source or target.
func (a *Agent) node(r *http.Request) (any, error) {
	n := client.Node{Name: a.options.NodeName}
	if err := writable(a.options.Root); err != nil {
		n.Problems = append(n.Problems, fmt.Sprintf("the folder %s cannot be written: %v", a.options.Root, err))
	}
	if err := writable(a.options.Checkpoints); err != nil {
		n.Problems = append(n.Problems, fmt.Sprintf("the kubelet's folder of checkpoints cannot be written: %v", err))
	}
	if err := a.kubelet.Check(r.Context()); err != nil {
		n.Problems = append(n.Problems, err.Error())
	}
	n.Problems = append(n.Problems, a.wrapper(&n)...)
	return n, nil
}

// wrapper fills in what the runtime wrapper has recorded. It does so when the container runtime starts or the first
// prepared pod comes: before that nothing is known, which is no problem.
func (a *Agent) wrapper(n *client.Node) []string {
	rec, err := fcc.ReadNodeRecord(a.options.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
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
