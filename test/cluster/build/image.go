package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is one uncompressed layer read from a tar file: node and image are on the same machine, compression would only
// cost time.
type layer struct {
	file string
	hash v1.Hash
	size int64
}

func openLayer(file string) (*layer, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	hash, size, err := v1.SHA256(f)
	return &layer{file: file, hash: hash, size: size}, err
}

func (l *layer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return os.Open(l.file) }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.file) }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// writeImage writes an OCI archive with one layer, named so that containerd imports it under that name.
func writeImage(dst, name, layerFile string, config v1.Config) error {
	l, err := openLayer(layerFile)
	if err != nil {
		return fmt.Errorf("reading the layer of %s: %w", name, err)
	}
	img, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), l)
	if err != nil {
		return fmt.Errorf("adding the layer of %s: %w", name, err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return fmt.Errorf("configuring %s: %w", name, err)
	}
	return writeArchive(dst, name, img, l)
}

func writeArchive(dst, name string, img v1.Image, l *layer) (err error) {
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	configDigest, err := img.ConfigName()
	if err != nil {
		return err
	}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: types.OCIManifestSchema1, Digest: digest, Size: size,
		Annotations: map[string]string{"io.containerd.image.name": name},
	}}})
	if err != nil {
		return err
	}
	f, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	content, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // opened for reading
	return errors.Join(
		addFile(w, "oci-layout", 0o644, bytes.NewReader([]byte(`{"imageLayoutVersion":"1.0.0"}`)), 30),
		addFile(w, "index.json", 0o644, bytes.NewReader(index), int64(len(index))),
		addFile(w, blob(digest), 0o644, bytes.NewReader(manifest), size),
		addFile(w, blob(configDigest), 0o644, bytes.NewReader(config), int64(len(config))),
		addFile(w, blob(l.hash), 0o644, content, l.size),
		w.Close())
}

// BinaryImage writes an image of one static binary at /NAME, its entrypoint, with further files and folders beside it.
func BinaryImage(dst, imageName, binary string, more ...string) (err error) {
	layerFile := dst + ".layer"
	defer func() { err = errors.Join(err, os.Remove(layerFile)) }()
	if err := layerOf(layerFile, append([]string{binary}, more...)); err != nil {
		return fmt.Errorf("packing %s: %w", binary, err)
	}
	return writeImage(dst, imageName, layerFile, v1.Config{Entrypoint: []string{"/" + filepath.Base(binary)}})
}

// layerOf writes a layer with the files and folders at its top.
func layerOf(dst string, paths []string) (err error) {
	f, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, top := range paths {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(filepath.Dir(top), path)
			if err != nil {
				return err
			}
			return addEntry(w, name, path, d)
		})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

func addEntry(w *tar.Writer, name, path string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: time.Unix(0, 0)})
	case d.Type() == fs.ModeSymlink:
		link, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: link, Mode: 0o777, ModTime: time.Unix(0, 0)})
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return addFile(w, name, 0o755, in, info.Size())
}

// addFile adds a file with a fixed time, so that the same content is the same archive.
func addFile(w *tar.Writer, name string, mode int64, content io.Reader, size int64) error {
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: size, ModTime: time.Unix(0, 0)})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}
