package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

//go:embed manifests/system.yaml
var systemManifests string

// downTimeout bounds taking down, which goes on after the context of the caller has ended.
const downTimeout = time.Minute

// Up builds what is needed and starts a cluster. When it fails or ctx ends, nothing is left but logs.
func Up(ctx context.Context, o Options) (_ *Cluster, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("starting a cluster: namespaces, mounts and links need root; try sudo")
	}
	progress := build.NewProgress(o.Out)
	c := &Cluster{dir: o.Dir}
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := c.claim(ctx, progress); err != nil {
		return nil, err
	}
	artifacts, err := build.All(ctx, o.Cache, o.Root, progress)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			progress.Say("Taking the cluster down: %v", err)
			downCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
			defer cancel()
			err = errors.Join(err, c.takeDown(downCtx))
		}
	}()
	if err := c.prepare(ctx, o, artifacts, progress); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := c.boot(ctx, build.NewProgress(o.Out)); err != nil {
		return nil, err
	}
	return c, c.update(func(s *state) { s.Ready = true })
}

// Use is for tests: it attaches to the cluster that the environment variable Env names, or else starts one. Call done
// at the end; it takes down what Use has started.
func Use(ctx context.Context, o Options) (c *Cluster, done func(context.Context) error, err error) {
	if dir := os.Getenv(Env); dir != "" {
		c, err = Attach(dir)
		return c, func(context.Context) error { return nil }, err
	}
	if c, err = Up(ctx, o); err != nil {
		return nil, nil, err
	}
	return c, c.Down, nil
}

// claim makes sure that no other cluster is up, and takes away what a killed one left, in whatever folder.
func (c *Cluster) claim(ctx context.Context, progress *build.Progress) error {
	owner, err := bridgeOwner()
	if err != nil {
		return err
	}
	if owner != "" && owner != c.dir {
		if err := (&Cluster{dir: owner}).bury(ctx, progress); err != nil {
			return err
		}
		owner = ""
	}
	s, err := c.load()
	if errors.Is(err, fs.ErrNotExist) && owner == "" {
		return nil
	}
	if err == nil && s.Ready && c.ended() == nil {
		return fmt.Errorf("starting a cluster: one is up in %s; take it down first", c.dir)
	}
	progress.Say("Taking away what is left of an earlier cluster in %s", c.dir)
	return c.takeDown(ctx)
}

// bury takes away what is left of a cluster in another folder, unless something of it still runs.
func (c *Cluster) bury(ctx context.Context, progress *build.Progress) (err error) {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if c.running() {
		return fmt.Errorf("starting a cluster: one is up in %s; take it down first (one per machine)", c.dir)
	}
	progress.Say("Taking away what is left of a cluster in %s, which has ended", c.dir)
	return c.takeDown(ctx)
}

// prepare makes everything that has to be there before the first process.
func (c *Cluster) prepare(ctx context.Context, o Options, a *build.Artifacts, progress *build.Progress) error {
	for _, folder := range []string{"bin", "etcd", "images", "logs", "nodes", "pki"} {
		path := filepath.Join(c.dir, folder)
		if err := errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o755)); err != nil {
			return fmt.Errorf("preparing %s: %w", c.dir, err)
		}
	}
	nodeInit := filepath.Join(c.dir, "node-init")
	err := c.update(func(s *state) {
		*s = state{Root: o.Root, Cache: o.Cache.Dir, NodeRoot: a.NodeRoot, NodeInit: nodeInit, CRIU: a.CRIU}
		for _, name := range []string{build.PauseImage, build.CoreDNSImage, build.RabbitMQImage} {
			s.Images = append(s.Images, a.Images[name])
		}
		for i := 1; i <= o.Nodes; i++ {
			s.Nodes = append(s.Nodes, nodeAt(i))
		}
	})
	if err != nil {
		return err
	}
	for name, path := range a.Programs {
		if err := install(path, c.Bin(name)); err != nil {
			return err
		}
	}
	if err := c.buildNodeInit(ctx, nodeInit); err != nil {
		return err
	}
	if !o.WithoutProduct {
		if _, err := c.buildProduct(ctx, progress); err != nil {
			return err
		}
	}
	return errors.Join(c.makePKI(), c.setUpNetwork())
}

// boot starts everything at once and waits until the cluster can be used.
func (c *Cluster) boot(ctx context.Context, progress *build.Progress) error {
	list, err := c.Nodes()
	if err != nil {
		return err
	}
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range list {
		if err := c.bootNode(n); err != nil {
			return err
		}
		group.Go(func() error {
			if err := c.importAll(ctx, n); err != nil {
				return err
			}
			progress.Event("%s has its images", n.Name)
			return nil
		})
	}
	group.Go(func() error {
		if err := c.startControlPlane(ctx); err != nil {
			return err
		}
		progress.Event("the control plane is up")
		for _, n := range list {
			group.Go(func() error {
				err := c.awaitNode(ctx, n.Name, begin)
				if err == nil {
					progress.Event("%s is Ready", n.Name)
				}
				return err
			})
		}
		if err := c.Apply(ctx, systemManifests); err != nil {
			return err
		}
		err := c.AwaitPods(ctx, "kube-system", "k8s-app=kube-dns", 1)
		if err == nil {
			progress.Event("CoreDNS is ready")
		}
		return err
	})
	return group.Wait()
}
