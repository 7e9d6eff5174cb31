package build

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashTellsWordsApart(t *testing.T) {
	require.Equal(t, Hash("a", "b"), Hash("a", "b"))
	require.NotEqual(t, Hash("ab", ""), Hash("a", "b"))
	require.NotEqual(t, Hash("a", "b"), Hash("b", "a"))
}

func TestHashFolderSeesNamesAndContent(t *testing.T) {
	write := func(files map[string]string) string {
		dir := t.TempDir()
		for name, content := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
		}
		key, err := HashFolder(dir)
		require.NoError(t, err)
		return key
	}
	same := write(map[string]string{"go.mod": "module x"})
	require.Equal(t, same, write(map[string]string{"go.mod": "module x"}))
	require.NotEqual(t, same, write(map[string]string{"go.mod": "module y"}))
	require.NotEqual(t, same, write(map[string]string{"go.sum": "module x"}))
}

func TestFailedBuildIsNotTakenForFinished(t *testing.T) {
	cache := &Cache{Dir: t.TempDir()}
	broken := errors.New("no space left")
	fail := true
	a := Artifact{Name: "tool", Key: "k", Make: func(_ context.Context, dst string) error {
		if err := os.WriteFile(dst, []byte("half"), 0o644); err != nil {
			return err
		}
		if fail {
			return broken
		}
		return os.WriteFile(dst, []byte("whole"), 0o644)
	}}
	require.ErrorIs(t, cache.Make(t.Context(), a), broken)
	require.Len(t, cache.Missing([]Artifact{a}), 1)

	fail = false
	require.NoError(t, cache.Make(t.Context(), a))
	require.Empty(t, cache.Missing([]Artifact{a}))
	content, err := os.ReadFile(cache.Path(a))
	require.NoError(t, err)
	require.Equal(t, "whole", string(content))
}

func TestProgramKeyDependsOnModuleAndFlags(t *testing.T) {
	modules := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(modules, "m"), 0o755))
	goMod := filepath.Join(modules, "m", "go.mod")
	key := func(p program) string {
		a, err := p.artifact(modules)
		require.NoError(t, err)
		return a.Key
	}
	require.NoError(t, os.WriteFile(goMod, []byte("require a v1"), 0o644))
	p := program{name: "p", module: "m", path: "example.org/p"}
	first := key(p)
	require.Equal(t, first, key(p))
	tagged := p
	tagged.tags = "seccomp"
	require.NotEqual(t, first, key(tagged))
	require.NoError(t, os.WriteFile(goMod, []byte("require a v2"), 0o644))
	require.NotEqual(t, first, key(p))
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	progress := NewProgress(&out)
	require.NoError(t, progress.Step(3, 9, "building kubelet", func() error { return nil }))
	require.Error(t, progress.Step(4, 9, "building etcd", func() error { return errors.New("broken") }))
	require.Regexp(t, regexp.MustCompile(`^\[3/9\] building kubelet … [\d.]+m?s\n\[4/9\] building etcd … failed\n$`), out.String())
}
