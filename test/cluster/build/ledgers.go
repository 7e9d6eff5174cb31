package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// LedgersImage holds the ledgers in Python, Java and Node: one image, since most of each would be the same. The pod
// says which of them runs.
const LedgersImage = "ms2m.dev/ledgers:dev"

// ledgersFolder has one folder for each language, Java's with its classes.
const ledgersFolder = "opt/ledger"

var ledgerLanguages = []string{"python", "java", "node"}

// compileJava compiles the folder $2 where it lies with the root file system $1.
const compileJava = `mount -t proc proc "$1/proc"
mount --bind "$2" "$1/mnt"
exec chroot "$1" /bin/sh -c "javac -Xlint:all -Werror -cp /usr/share/java/amqp-client.jar:/usr/share/java/gson.jar /mnt/*.java"`

// Ledgers returns the path of LedgersImage, made when the cache does not hold it yet. project is the folder of this
// project.
func Ledgers(ctx context.Context, cache *Cache, project string, progress *Progress) (string, error) {
	root := clientsRoot()
	programs, err := ledgerPrograms(cache, root, project)
	if err != nil {
		return "", err
	}
	return cache.ensure(ctx, progress, root, programs, ledgersImage(cache, root, programs))
}

// LedgerPrograms returns the path of a folder with the ledgers as they lie in the image, and that of the root file
// system that they run in.
func LedgerPrograms(ctx context.Context, cache *Cache, project string, progress *Progress) (programs, root string, err error) {
	r := clientsRoot()
	p, err := ledgerPrograms(cache, r, project)
	if err != nil {
		return "", "", err
	}
	programs, err = cache.ensure(ctx, progress, r, p)
	return programs, cache.Path(r), err
}

func ledgerPrograms(cache *Cache, root Artifact, project string) (Artifact, error) {
	sources, words := map[string]string{}, []string{root.Key, ledgersFolder, compileJava}
	for _, language := range ledgerLanguages {
		sources[language] = filepath.Join(project, "test/workloads/ledger", language)
		hash, err := HashFolder(sources[language])
		if err != nil {
			return Artifact{}, err
		}
		words = append(words, hash)
	}
	return Artifact{
		Name: "ledgers",
		Key:  Hash(words...),
		Make: func(ctx context.Context, dst string) error {
			for language, source := range sources {
				if err := os.CopyFS(filepath.Join(dst, ledgersFolder, language), os.DirFS(source)); err != nil {
					return fmt.Errorf("copying the ledger in %s: %w", language, err)
				}
			}
			in := command{private: true, env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
			return in.run(ctx, "/bin/sh", "-ec", compileJava, "sh", cache.Path(root), filepath.Join(dst, ledgersFolder, "java"))
		},
	}, nil
}

func ledgersImage(cache *Cache, root, programs Artifact) Artifact {
	return Artifact{
		Name: "ledgers.tar",
		Key:  Hash(root.Key, programs.Key, LedgersImage),
		Make: func(ctx context.Context, dst string) (err error) {
			layerFile := dst + ".layer"
			defer func() { err = errors.Join(err, os.RemoveAll(layerFile)) }()
			err = packRoot(ctx, layerFile, cache.Path(root), "-C", cache.Path(programs), "./"+ledgersFolder)
			if err != nil {
				return err
			}
			return writeImage(dst, LedgersImage, layerFile, v1.Config{
				Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"},
			})
		},
	}
}
