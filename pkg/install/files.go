package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// wrapper is the path of the runtime wrapper on the node.
func (n *node) wrapper() string { return filepath.Join(n.Folder, "bin/ms2m-runc") }

// criu is the path of the image's CRIU on the node.
func (n *node) criu() string { return filepath.Join(n.Folder, "criu/criu") }

func (n *node) placeWrapper(context.Context) error {
	changed, err := copyFile(filepath.Join(n.Image, "ms2m-runc"), n.wrapper(), 0o755)
	if changed {
		n.Log.Info("runtime wrapper put in place", "path", n.wrapper())
	}
	return err
}

// placeCRIU puts the image's CRIU beside the wrapper, which takes the newer of this and the node's own. Container runtimes
// only look whether there is one in their PATH: a node without gets a link there.
func (n *node) placeCRIU(context.Context) error {
	source := filepath.Join(n.Image, "criu")
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		return nil // an image without
	}
	if err := copyFolder(source, filepath.Dir(n.criu())); err != nil {
		return fmt.Errorf("putting CRIU in place: %w", err)
	}
	for _, folder := range n.path {
		if _, err := os.Stat(filepath.Join(folder, "criu")); err == nil {
			return nil
		}
	}
	if err := os.Symlink(n.criu(), n.criuLink()); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("linking CRIU into the container runtime's PATH: %w", err)
	}
	n.Log.Info("the node has no CRIU of its own: it gets the image's", "path", n.criuLink())
	n.restarts = append(n.restarts, "the node has CRIU now, which it may have looked for already")
	return nil
}

func (n *node) criuLink() string { return filepath.Join(n.Bin, "criu") }

func (n *node) unlinkCRIU() error {
	if to, err := os.Readlink(n.criuLink()); err != nil || to != n.criu() {
		return nil //nolint:nilerr // not ours
	}
	return os.Remove(n.criuLink())
}

// writeConfig tells the wrapper where the node's runc is.
func (n *node) writeConfig(runc string) error {
	config := map[string]string{"root": n.Root}
	if runc != "" {
		config["runc"] = runc
	}
	b, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("encoding the wrapper's configuration: %w", err)
	}
	_, err = replace(filepath.Join(n.Folder, "runc.json"), append(b, '\n'))
	return err
}

// replace writes a file whole, unless it has the content already.
func replace(file string, content []byte) (changed bool, err error) {
	old, err := os.ReadFile(file) // #nosec G304 -- the node's configuration
	if err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a folder of configuration
		return false, fmt.Errorf("writing %s: %w", file, err)
	}
	return true, place(file, mode, func(f *os.File) error { _, err := f.Write(content); return err })
}

// place writes a file beside its place and moves it there.
func place(file string, mode fs.FileMode, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-")
	if err == nil {
		err = errors.Join(write(f), f.Chmod(mode), f.Close())
		if err == nil {
			err = os.Rename(f.Name(), file)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// remove a file; changed is false when there was none.
func remove(file string) (changed bool, err error) {
	err = os.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
