package main

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/spf13/cobra"
)

// pushCommand builds an image whose layer is the checkpoint, and pushes it. Layers are compressed, as those of all tools
// that push; at the quickest level.
func pushCommand() *cobra.Command {
	var file, image string
	c := &cobra.Command{Use: "push", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		compressed := file + ".gz"
		defer os.Remove(compressed) //nolint:errcheck // only temporary
		if err := compress(file, compressed); err != nil {
			return err
		}
		layer, err := tarball.LayerFromFile(compressed)
		if err != nil {
			return err
		}
		img, err := mutate.AppendLayers(empty.Image, layer)
		if err != nil {
			return err
		}
		ref, err := name.ParseReference(image, name.Insecure)
		if err != nil {
			return err
		}
		return remote.Write(ref, img, remote.WithContext(c.Context()))
	}}
	c.Flags().StringVar(&file, "file", "", "archive")
	c.Flags().StringVar(&image, "image", "", "name of the image")
	return c
}

func compress(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, w.Close())
}

// pullCommand pulls the image as container runtimes do: the layer into a store, verified, and from there unpacked.
func pullCommand() *cobra.Command {
	var image, folder string
	c := &cobra.Command{Use: "pull", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		ref, err := name.ParseReference(image, name.Insecure)
		if err != nil {
			return err
		}
		img, err := remote.Image(ref, remote.WithContext(c.Context()))
		if err != nil {
			return err
		}
		layers, err := img.Layers()
		if err != nil {
			return err
		}
		blob, unpacked := filepath.Join(folder, "blob"), filepath.Join(folder, "unpacked")
		if err := os.MkdirAll(unpacked, 0o700); err != nil {
			return err
		}
		content, err := layers[0].Compressed() // verifies the digest
		if err != nil {
			return err
		}
		f, err := os.Create(blob)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		if err := errors.Join(err, content.Close(), f.Close()); err != nil {
			return err
		}
		return run(exec.CommandContext(c.Context(), "tar", "-xzf", blob, "-C", unpacked))
	}}
	c.Flags().StringVar(&image, "image", "", "name of the image")
	c.Flags().StringVar(&folder, "folder", "", "where to")
	return c
}
