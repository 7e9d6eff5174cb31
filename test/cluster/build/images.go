package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image names of what is not the product.
const (
	PauseImage    = "ms2m.dev/pause:1"
	CoreDNSImage  = "ms2m.dev/coredns:1"
	RabbitMQImage = "ms2m.dev/rabbitmq:4"
)

// rabbitmqUID owns the broker's files. Erlang asks for no entry in /etc/passwd as long as HOME is set.
const rabbitmqUID = "10672"

// pauseSource holds a pod's namespaces and reaps the orphans of a shared PID namespace.
const pauseSource = `#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void reap(int s) { while (waitpid(-1, NULL, WNOHANG) > 0); }
static void leave(int s) { _exit(0); }
int main(void) {
	signal(SIGCHLD, reap); signal(SIGINT, leave); signal(SIGTERM, leave);
	for (;;) pause();
}
`

func pauseImage() Artifact {
	return Artifact{
		Name: "pause.tar",
		Key:  Hash(pauseSource, PauseImage, runtime.GOARCH),
		Make: func(ctx context.Context, dst string) error {
			dir, err := os.MkdirTemp("", "pause")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir) //nolint:errcheck // only temporary
			source, binary := filepath.Join(dir, "pause.c"), filepath.Join(dir, "pause")
			if err := os.WriteFile(source, []byte(pauseSource), 0o644); err != nil {
				return err
			}
			if err := (command{}).run(ctx, "gcc", "-static", "-Os", "-s", "-o", binary, source); err != nil {
				return err
			}
			return BinaryImage(dst, PauseImage, binary)
		},
	}
}

func coreDNSImage(cache *Cache, coredns Artifact) Artifact {
	return Artifact{
		Name: "coredns.tar",
		Key:  Hash(coredns.Key, CoreDNSImage),
		Make: func(_ context.Context, dst string) error {
			return BinaryImage(dst, CoreDNSImage, cache.Path(coredns))
		},
	}
}

// rabbitmqImage runs as any user that owns $HOME, which is also its data folder.
func rabbitmqImage(cache *Cache, root Artifact) Artifact {
	// The wrapper in /usr/sbin insists on root or the user rabbitmq; the program itself does not.
	entrypoint := "/usr/lib/rabbitmq/bin/rabbitmq-server"
	return Artifact{
		Name: "rabbitmq.tar",
		Key:  Hash(root.Key, entrypoint, rabbitmqUID, RabbitMQImage),
		Make: func(ctx context.Context, dst string) (err error) {
			layerFile := dst + ".layer"
			defer func() { err = errors.Join(err, os.RemoveAll(layerFile)) }()
			if err := packRoot(ctx, layerFile, cache.Path(root), "--exclude=./var/lib/rabbitmq/*"); err != nil {
				return err
			}
			return writeImage(dst, RabbitMQImage, layerFile, v1.Config{
				User:       rabbitmqUID + ":" + rabbitmqUID,
				Entrypoint: []string{entrypoint},
				Env:        []string{"PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/var/lib/rabbitmq", "LANG=C.UTF-8"},
			})
		},
	}
}

// packRoot packs a root file system; args of tar, options and further files, come before it.
func packRoot(ctx context.Context, dst, root string, args ...string) error {
	args = append([]string{"--numeric-owner", "--sort=name", "--exclude=./dev/*", "--exclude=./proc/*", "-cf", dst}, args...)
	return command{}.run(ctx, "tar", append(args, "-C", root, ".")...)
}
