package install

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// Handler is the name of the runtime handler, as RuntimeClass ms2m has it.
	Handler = "ms2m"
	// folder is where programs of ours are on nodes.
	folder = "/opt/ms2m"
	// CRIUFolder is where an image's CRIU is on nodes; it must be built to run there.
	CRIUFolder = folder + "/criu"
)

// Options of an installation. Folders of the node are mounted where they are on the node, so that a path means the same
// to this program and to the node.
type Options struct {
	// Image is the folder that holds ms2m-runc and perhaps the folder criu. Default /.
	Image string
	// Folder on the node for programs of ours. Default /opt/ms2m. An image's CRIU runs only there.
	Folder string
	// Root is the node's folder of the wrapper and the agent. Default /var/lib/ms2m.
	Root string
	// Bin is a folder in the container runtime's PATH, for a link to CRIU. Default /usr/local/sbin.
	Bin string
	// path are the folders in which container runtimes find programs.
	path []string
	// Socket of the container runtime. Default: containerd's or else CRI-O's.
	Socket string
	// ContainerdConfig is containerd's configuration file. Default /etc/containerd/config.toml.
	ContainerdConfig string
	// DropIn is the file with the handler that ContainerdConfig imports. Default conf.d/ms2m.toml beside it.
	DropIn string
	// CRIOConfig is the folder of CRI-O's configuration. Default /etc/crio.
	CRIOConfig string
	// Say, if set, tells people about a restart of the container runtime.
	Say func(ctx context.Context, message string)
	Log *slog.Logger
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		value *string
		unset string
	}{
		{&o.Image, "/"}, {&o.Folder, folder}, {&o.Root, "/var/lib/ms2m"}, {&o.Bin, "/usr/local/sbin"},
		{&o.ContainerdConfig, "/etc/containerd/config.toml"}, {&o.CRIOConfig, "/etc/crio"},
	} {
		if *d.value == "" {
			*d.value = d.unset
		}
	}
	if o.path == nil {
		o.path = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"}
	}
	if o.DropIn == "" {
		o.DropIn = filepath.Join(filepath.Dir(o.ContainerdConfig), "conf.d/ms2m.toml")
	}
	if o.Say == nil {
		o.Say = func(context.Context, string) {}
	}
}

// startBound is how long the container runtime may take to start.
const startBound = 90 * time.Second

// node is one installation under way.
type node struct {
	Options
	cri *cri
	runtime
	// restarts are the reasons for which the container runtime has to read its configuration again.
	restarts []string
}

// runtime is what differs between container runtimes.
type runtime interface {
	// configure adds the handler, and returns the node's runc as the container runtime knows it, "" for any in the PATH.
	// changed is false when the configuration had it.
	configure(ctx context.Context) (runc string, changed bool, err error)
	// unconfigure takes the handler out; changed is false when it was not there.
	unconfigure() (changed bool, err error)
	// reload makes the process that serves the socket read its configuration.
	reload(ctx context.Context, pid int) error
}

// Install prepares the node. Done again, it changes only what has changed since.
func Install(ctx context.Context, o Options) error {
	n, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer n.cri.close() //nolint:errcheck // nothing is written through it
	for _, step := range []func(context.Context) error{n.placeWrapper, n.placeCRIU, n.configureRuntime, n.restartOrTakeBack} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	n.Log.Info("node is prepared", "handler", Handler, "restarted", len(n.restarts) > 0)
	return nil
}

// Remove takes away what Install made, once no pod uses the handler any more: such a pod could neither restart nor end.
// When the context ends before, everything stays as it is.
func Remove(ctx context.Context, o Options) error {
	n, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer n.cri.close() //nolint:errcheck // nothing is written through it
	for _, step := range []func(context.Context) error{n.awaitNoPods, n.unconfigureRuntime, n.restart, n.removeFiles} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	n.Log.Info("node is as it was", "handler", Handler, "restarted", len(n.restarts) > 0)
	return nil
}

func open(ctx context.Context, o Options) (*node, error) {
	o.setDefaults()
	cri, err := connect(ctx, o.Socket)
	if err != nil {
		return nil, err
	}
	n := &node{Options: o, cri: cri}
	switch cri.name {
	case "containerd":
		n.runtime = &containerd{n}
	case "cri-o":
		n.runtime = &crio{n}
	default:
		return nil, errors.Join(fmt.Errorf("preparing node: its container runtime is %q: containerd 2 and CRI-O are known", cri.name), cri.close())
	}
	return n, nil
}

func (n *node) configureRuntime(ctx context.Context) error {
	runc, changed, err := n.configure(ctx)
	if err != nil {
		return err
	}
	if changed {
		n.restarts = append(n.restarts, "its configuration has the runtime handler "+Handler+" now")
	} else if known, err := n.cri.knows(ctx, Handler); err != nil {
		return err
	} else if !known {
		n.restarts = append(n.restarts, "it has not read yet that its configuration has the runtime handler "+Handler)
	}
	return n.writeConfig(runc)
}

func (n *node) unconfigureRuntime(context.Context) error {
	changed, err := n.unconfigure()
	if changed {
		n.restarts = append(n.restarts, "its configuration has the runtime handler "+Handler+" no more")
	}
	return err
}

// restart makes the container runtime read its configuration if it has to, and waits until it knows what is in it.
// Containers go on meanwhile.
func (n *node) restart(ctx context.Context) error {
	if len(n.restarts) == 0 {
		return nil
	}
	message := fmt.Sprintf("restarting %s: %s", n.cri.name, strings.Join(n.restarts, "; "))
	n.Log.Warn(message, "socket", n.cri.socket)
	n.Say(ctx, message)
	pid, err := n.cri.server()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	if err := n.reload(ctx, pid); err != nil {
		return fmt.Errorf("restarting %s: %w", n.cri.name, err)
	}
	return nil
}

// restartOrTakeBack leaves no container runtime that does not start: its service manager tries again.
func (n *node) restartOrTakeBack(ctx context.Context) error {
	err := n.restart(ctx)
	if err != nil {
		_, uerr := n.unconfigure()
		err = errors.Join(err, uerr)
	}
	return err
}

func (n *node) awaitNoPods(ctx context.Context) error {
	for {
		pods, err := n.cri.podsOf(ctx, Handler)
		if err == nil && len(pods) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("removing handler %s: left in place, since pods use it, which could neither restart nor end without it: %s", Handler, strings.Join(pods, ", ")), err)
		case <-time.After(time.Second):
		}
	}
}

func (n *node) removeFiles(context.Context) error {
	err := n.unlinkCRIU()
	for _, folder := range []string{n.Folder, n.Root} {
		left, rerr := os.ReadDir(folder) // itself it may be a mount
		err = errors.Join(err, rerr)
		for _, e := range left {
			err = errors.Join(err, os.RemoveAll(filepath.Join(folder, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("removing files of the installation: %w", err)
	}
	return nil
}
