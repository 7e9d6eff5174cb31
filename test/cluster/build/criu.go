package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ms2m.dev/ms2m-descheduler/pkg/install"
)

// criuFolder is the nodes' CRIU with the libraries that it needs, as the product's image brings it to nodes that have
// none. It runs in the folder that it is installed in, whatever libraries the node has.
func criuFolder(cache *Cache, root Artifact) Artifact {
	return Artifact{
		Name: "criu",
		Key:  Hash(root.Key, install.CRIUFolder, "rpath"),
		Make: func(ctx context.Context, dst string) error {
			libraries, err := librariesOf(ctx, cache.Path(root), "/usr/sbin/criu")
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Join(dst, "lib"), 0o755); err != nil {
				return err
			}
			program := filepath.Join(dst, "criu")
			if err := CopyFile(filepath.Join(cache.Path(root), "usr/sbin/criu"), program); err != nil {
				return err
			}
			loader := ""
			for _, l := range libraries {
				if err := CopyFile(filepath.Join(cache.Path(root), l), filepath.Join(dst, "lib", filepath.Base(l))); err != nil {
					return err
				}
				if strings.HasPrefix(filepath.Base(l), "ld-linux") {
					loader = filepath.Join(install.CRIUFolder, "lib", filepath.Base(l))
				}
			}
			return command{}.run(ctx, "patchelf", "--set-interpreter", loader, "--set-rpath", "$ORIGIN/lib", "--force-rpath", program)
		},
	}
}

// librariesOf a program in a root file system, by their paths in it, with the loader.
func librariesOf(ctx context.Context, root, program string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "chroot", root, "ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("listing libraries of %s: %w", program, err)
	}
	var paths []string
	for line := range strings.Lines(string(out)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				paths = append(paths, word)
			}
		}
	}
	return paths, nil
}

// CopyFile copies a program.
func CopyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
