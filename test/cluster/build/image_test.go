package build

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"
)

// readTar returns the contents of a tar file by name.
func readTar(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	files, archive := map[string]string{}, tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		files[header.Name] = string(content)
	}
}

func TestBinaryImage(t *testing.T) {
	dir := t.TempDir()
	binary, archive := filepath.Join(dir, "tool"), filepath.Join(dir, "tool.tar")
	require.NoError(t, os.WriteFile(binary, []byte("ELF"), 0o755))
	require.NoError(t, BinaryImage(archive, "ms2m.dev/tool:dev", binary))

	f, err := os.Open(archive)
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // opened for reading
	files := readTar(t, f)
	blob := func(h v1.Hash) string {
		content, ok := files["blobs/sha256/"+h.Hex]
		require.True(t, ok, "the archive holds %s", h)
		digest, _, err := v1.SHA256(strings.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, h, digest)
		return content
	}
	var index v1.IndexManifest
	require.NoError(t, json.Unmarshal([]byte(files["index.json"]), &index))
	require.Equal(t, "ms2m.dev/tool:dev", index.Manifests[0].Annotations["io.containerd.image.name"])
	var manifest v1.Manifest
	require.NoError(t, json.Unmarshal([]byte(blob(index.Manifests[0].Digest)), &manifest))
	var config v1.ConfigFile
	require.NoError(t, json.Unmarshal([]byte(blob(manifest.Config.Digest)), &config))
	require.Equal(t, []string{"/tool"}, config.Config.Entrypoint)
	require.Equal(t, map[string]string{"tool": "ELF"}, readTar(t, strings.NewReader(blob(manifest.Layers[0].Digest))))

	again := filepath.Join(dir, "again.tar")
	require.NoError(t, BinaryImage(again, "ms2m.dev/tool:dev", binary))
	first, err := os.ReadFile(archive)
	require.NoError(t, err)
	second, err := os.ReadFile(again)
	require.NoError(t, err)
	require.Equal(t, first, second, "the same binary is the same image")
}
