package cluster

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// Networks: private ranges that clouds, Docker, and other local clusters rarely use.
const (
	gateway       = "10.213.0.1" // the host on the node network; API server and etcd listen here
	nodeNetwork   = "10.213.0.0/24"
	podNetwork    = "10.214.0.0/16"
	serviceRange  = "10.215.0.0/20"
	apiServiceIP  = "10.215.0.1"
	clusterDNS    = "10.215.0.10" // as in manifests/system.yaml
	clusterDomain = "cluster.local"
	apiServer     = gateway + ":6443"
	bridge        = "ms2m0"
)

// MaxNodes is how many nodes a cluster may have.
const MaxNodes = 4

// Env names the folder of a running cluster that tests are to use instead of starting their own.
const Env = "MS2M_CLUSTER"

// Options of Up. The zero value is a cluster of two nodes in .cluster at the project's root.
type Options struct {
	// Nodes is 1 to MaxNodes, default 2.
	Nodes int
	// Dir holds the cluster's state, not on an overlay file system. Default .cluster at the project's root.
	Dir string
	// Root is the project's folder. Default: found from the working directory.
	Root string
	// Cache holds what is built. Default build.DefaultCache.
	Cache *build.Cache
	// Out is told the progress. Default os.Stderr.
	Out io.Writer
	// WithoutProduct leaves out the product's images and its runtime wrapper.
	WithoutProduct bool
	// Timeout of starting, building excluded. Default 3 minutes.
	Timeout time.Duration
}

func (o *Options) complete() (err error) {
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("checking options: %d nodes; 1 to %d are possible", o.Nodes, MaxNodes)
	}
	if o.Root == "" {
		if o.Root, err = ProjectRoot(); err != nil {
			return err
		}
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(o.Root, ".cluster")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Cache == nil {
		if o.Cache, err = build.DefaultCache(); err != nil {
			return err
		}
	}
	if o.Out == nil {
		o.Out = os.Stderr
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Minute
	}
	return nil
}

// DefaultDir is where Up keeps its state when Options.Dir is empty.
func DefaultDir() (string, error) {
	root, err := ProjectRoot()
	return filepath.Join(root, ".cluster"), err
}

// ProjectRoot is the nearest folder above the working directory that has the harness in it.
func ProjectRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "test/cluster/modules/kubernetes/go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the project: run this inside its working tree")
		}
		dir = filepath.Dir(dir)
	}
}
