package build

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Artifacts are the paths of everything that a cluster is started from.
type Artifacts struct {
	NodeRoot string
	// CRIU is a folder with CRIU and the libraries that it needs.
	CRIU string
	// Programs maps a binary's name to its path.
	Programs map[string]string
	// Images are OCI archives: PauseImage, CoreDNSImage and RabbitMQImage.
	Images map[string]string
}

// All makes what the cache does not hold yet, showing progress. root is the folder of this project.
func All(ctx context.Context, cache *Cache, root string, progress *Progress) (_ *Artifacts, err error) {
	unlock, err := prepare(ctx, cache, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()

	result := &Artifacts{Programs: map[string]string{}, Images: map[string]string{}}
	var artifacts []Artifact
	for _, p := range programs() {
		a, err := p.artifact(filepath.Join(root, "test/cluster/modules"))
		if err != nil {
			return nil, err
		}
		result.Programs[p.name] = cache.Path(a)
		artifacts = append(artifacts, a)
	}
	dns, node, broker := coreDNSImage(cache, artifacts[len(artifacts)-1]), nodeRoot(), rabbitmqRoot()
	images := map[string]Artifact{PauseImage: pauseImage(), CoreDNSImage: dns, RabbitMQImage: rabbitmqImage(cache, broker)}
	for name, a := range images {
		result.Images[name] = cache.Path(a)
	}
	criu := criuFolder(cache, node)
	result.NodeRoot, result.CRIU = cache.Path(node), cache.Path(criu)
	artifacts = append(artifacts, node, criu, images[PauseImage], broker, images[RabbitMQImage], dns)
	if err := cache.makeMissing(ctx, artifacts, progress); err != nil {
		return nil, fmt.Errorf("building the cluster's parts: %w", err)
	}
	return result, nil
}

// RabbitMQRoot is the path of a root file system with the broker, that of its image, made when the cache does not hold
// it yet.
func RabbitMQRoot(ctx context.Context, cache *Cache, progress *Progress) (string, error) {
	return cache.ensure(ctx, progress, rabbitmqRoot())
}

// ClientsRoot is the path of a root file system with AMQP client libraries of several languages and what runs and
// compiles programs that use them, made when the cache does not hold it yet.
func ClientsRoot(ctx context.Context, cache *Cache, progress *Progress) (string, error) {
	return cache.ensure(ctx, progress, clientsRoot())
}

// ensure that the cache holds the last of these artifacts, which is made from those before it, and return its path.
func (c *Cache) ensure(ctx context.Context, progress *Progress, artifacts ...Artifact) (_ string, err error) {
	last := artifacts[len(artifacts)-1]
	if len(c.Missing([]Artifact{last})) == 0 {
		return c.Path(last), nil
	}
	unlock, err := prepare(ctx, c, progress)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return c.Path(last), c.makeMissing(ctx, artifacts, progress)
}

// prepare the host for building, and keep others from it until the returned function is called.
func prepare(ctx context.Context, cache *Cache, progress *Progress) (unlock func() error, err error) {
	if missing := MissingPackages(); len(missing) > 0 {
		what := "installing Debian packages needed for building (apt-get install " + strings.Join(missing, " ") + ")"
		if err := progress.Step(1, 1, what, func() error { return InstallPackages(ctx, missing) }); err != nil {
			return nil, err
		}
	}
	return cache.Lock()
}

// makeMissing makes what the cache does not hold yet, in this order, showing progress. Hold the Lock.
func (c *Cache) makeMissing(ctx context.Context, artifacts []Artifact, progress *Progress) error {
	missing := c.Missing(artifacts)
	for i, a := range missing {
		if err := progress.Step(i+1, len(missing), "building "+a.Name, func() error { return c.Make(ctx, a) }); err != nil {
			return err
		}
	}
	return nil
}
