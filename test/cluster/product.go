package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// program of the working tree. It becomes an image named ms2m.dev/NAME:dev, or goes into /opt/bin of the nodes and the
// PATH of the shell.
type program struct {
	name, pkg string
	image     bool
	// node says that the image also has what is installed on nodes: the runtime wrapper and CRIU.
	node bool
}

// wrapper is in the image of the agent, whose DaemonSet ms2m-node installs it.
var wrapper = program{name: "ms2m-runc", pkg: "./cmd/ms2m-runc"}

var product = []program{
	{name: "ms2m-descheduler", pkg: "./cmd/ms2m-descheduler", image: true},
	{name: "ms2m-agent", pkg: "./cmd/ms2m-agent", image: true, node: true},
	{name: "ms2m-gate", pkg: "./cmd/ms2m-gate", image: true},
	{name: "ledger", pkg: "./test/workloads/ledger", image: true},
	{name: "kubectl-ms2m", pkg: "./cmd/kubectl-ms2m"},
}

// LoadProduct builds the product's programs from the working tree and puts them as images into every node of the running
// cluster. With names only those. Pods that run are not restarted.
func (c *Cluster) LoadProduct(ctx context.Context, progress *build.Progress, names ...string) error {
	archives, err := c.buildProduct(ctx, progress, names...)
	if err != nil {
		return err
	}
	return c.importEverywhere(ctx, archives)
}

// LoadLedgers puts the ledgers in other languages than Go into every node, build.LedgersImage. Few clusters need them,
// and they are large.
func (c *Cluster) LoadLedgers(ctx context.Context, progress *build.Progress) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	archive, err := build.Ledgers(ctx, &build.Cache{Dir: s.Cache}, s.Root, progress)
	if err != nil {
		return err
	}
	if err := c.addImages(archive); err != nil {
		return err
	}
	return c.importEverywhere(ctx, []string{archive})
}

// buildProduct builds what is there of the product and returns the image archives, which new nodes will get too.
func (c *Cluster) buildProduct(ctx context.Context, progress *build.Progress, names ...string) ([]string, error) {
	s, err := c.load()
	if err != nil {
		return nil, err
	}
	chosen := slices.Clone(product)
	chosen = slices.DeleteFunc(chosen, func(p program) bool {
		_, err := os.Stat(filepath.Join(s.Root, p.pkg))
		return err != nil || len(names) > 0 && !slices.Contains(names, p.name)
	})
	var archives []string
	for i, p := range chosen {
		err := progress.Step(i+1, len(chosen), "building "+p.name, func() error {
			archive, err := c.buildProgram(ctx, s, p)
			if archive != "" {
				archives = append(archives, archive)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return archives, c.addImages(archives...)
}

// addImages lets new nodes get these archives.
func (c *Cluster) addImages(archives ...string) error {
	return c.update(func(s *state) {
		for _, archive := range archives {
			if !slices.Contains(s.Images, archive) {
				s.Images = append(s.Images, archive)
			}
		}
	})
}

// buildProgram builds one program and returns its image archive, "" if it is installed on the nodes instead.
func (c *Cluster) buildProgram(ctx context.Context, s state, p program) (string, error) {
	binary := builtPath(s, p.name)
	if err := build.GoBuild(ctx, s.Root, p.pkg, binary); err != nil {
		return "", err
	}
	if !p.image {
		return "", install(binary, c.Bin(p.name))
	}
	var more []string
	if p.node {
		more = []string{builtPath(s, wrapper.name), s.CRIU}
		if err := build.GoBuild(ctx, s.Root, wrapper.pkg, more[0]); err != nil {
			return "", err
		}
	}
	archive := filepath.Join(c.dir, "images", p.name+".tar")
	return archive, build.BinaryImage(archive, "ms2m.dev/"+p.name+":dev", binary, more...)
}

// buildNodeInit builds the nodes' PID 1.
func (c *Cluster) buildNodeInit(ctx context.Context, to string) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	binary := builtPath(s, "node-init")
	if err := build.GoBuild(ctx, s.Root, "./test/cluster/cmd/node", binary); err != nil {
		return err
	}
	return install(binary, to)
}

// builtPath is the same for each build of a working tree: Go does not link again what has not changed.
func builtPath(s state, name string) string {
	return filepath.Join(s.Cache, "product", build.Hash(s.Root), name)
}

func (c *Cluster) importEverywhere(ctx context.Context, archives []string) error {
	nodes, err := c.nodes()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		for _, archive := range archives {
			group.Go(func() error { return c.importImage(ctx, n, archive) })
		}
	}
	return group.Wait()
}

func (c *Cluster) importAll(ctx context.Context, n Node) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if err := c.awaitContainerd(ctx, n); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, archive := range s.Images {
		group.Go(func() error { return c.importImage(ctx, n, archive) })
	}
	return group.Wait()
}

func (c *Cluster) importImage(ctx context.Context, n Node, archive string) error {
	cmd, err := c.NodeCommand(ctx, n.Name, "ctr", "--namespace=k8s.io", "images", "import", "--local", "-")
	if err != nil {
		return err
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	endTogether(cmd)
	cmd.Stdin = f
	if _, err := output(cmd, "ctr images import"); err != nil {
		return fmt.Errorf("importing %s on %s: %w", filepath.Base(archive), n.Name, err)
	}
	return nil
}

// install puts a program into place atomically; where both paths are on one file system it is the same file.
func install(from, to string) error {
	tmp := to + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Link(from, tmp); err != nil {
		if err := build.CopyFile(from, tmp); err != nil {
			return fmt.Errorf("installing %s: %w", to, err)
		}
	}
	return os.Rename(tmp, to)
}
