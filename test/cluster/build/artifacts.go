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
	// Programs maps a binary's name to its path.
	Programs map[string]string
	// Images are OCI archives: PauseImage, CoreDNSImage and RabbitMQImage.
	Images map[string]string
}

// All makes what the cache does not hold yet, showing progress. root is the folder of this project.
func All(ctx context.Context, cache *Cache, root string, progress *Progress) (_ *Artifacts, err error) {
	if missing := MissingPackages(); len(missing) > 0 {
		what := "installing Debian packages needed for building (apt-get install " + strings.Join(missing, " ") + ")"
		if err := progress.Step(1, 1, what, func() error { return InstallPackages(ctx, missing) }); err != nil {
			return nil, err
		}
	}
	unlock, err := cache.Lock()
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
	dns, node := coreDNSImage(cache, artifacts[len(artifacts)-1]), nodeRoot()
	images := map[string]Artifact{PauseImage: pauseImage(), CoreDNSImage: dns, RabbitMQImage: rabbitmqImage()}
	for name, a := range images {
		result.Images[name] = cache.Path(a)
	}
	result.NodeRoot = cache.Path(node)
	artifacts = append(artifacts, node, images[PauseImage], images[RabbitMQImage], dns)

	missing := cache.Missing(artifacts)
	for i, a := range missing {
		err := progress.Step(i+1, len(missing), "building "+a.Name, func() error { return cache.Make(ctx, a) })
		if err != nil {
			return nil, fmt.Errorf("building the cluster's parts: %w", err)
		}
	}
	return result, nil
}
