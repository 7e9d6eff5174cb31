package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rootfs is a small root file system as of an image.
func rootfs(t testing.TB) (string, func()) {
	t.Helper()
	folder, untouched := inside(t)
	for name, content := range map[string]string{"etc/passwd": "root", "etc/gone": "x", "var/cache/old": "x", "bin/sh": "sh"} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644)) //nolint:gosec // a test's
	}
	return folder, untouched
}

// owned gives headers this process's owner, so that the tests need no root.
func owned(members ...member) []member {
	for i := range members {
		members[i].Uid, members[i].Gid = os.Getuid(), os.Getgid()
	}
	return members
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return z.Bytes()
}

func TestApplyRootDiff(t *testing.T) {
	then := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	diff := archived(t, owned(
		member{tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, ""},
		member{tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o750}, ""},
		member{tar.Header{Name: "etc/.wh.gone"}, ""},
		member{tar.Header{Name: "etc/passwd", Mode: 0o600, ModTime: then}, "changed"},
		member{tar.Header{Name: "var/cache/", Typeflag: tar.TypeDir, Mode: 0o755}, ""},
		member{tar.Header{Name: "var/cache/new"}, "new"},
		member{tar.Header{Name: "var/cache/.wh..wh..opq"}, ""},
		member{tar.Header{Name: "bin", Typeflag: tar.TypeSymlink, Linkname: "/usr/bin"}, ""},
		member{tar.Header{Name: "new/deep/file", Mode: 0o4755}, "x"},
		member{tar.Header{Name: "new/link", Typeflag: tar.TypeLink, Linkname: "new/deep/file"}, ""},
		member{tar.Header{Name: "new/pipe", Typeflag: tar.TypeFifo, Mode: 0o640}, ""},
	)...)
	for name, b := range map[string][]byte{"plain": diff, "gzip": zipped(t, diff)} {
		t.Run(name, func(t *testing.T) {
			folder, untouched := rootfs(t)
			require.NoError(t, ApplyRootDiff(bytes.NewReader(b), folder, Limits{}))
			untouched()
			require.NoFileExists(t, filepath.Join(folder, "etc/gone"))
			require.NoFileExists(t, filepath.Join(folder, "var/cache/old"), "opaque folders lose what the image had")
			require.FileExists(t, filepath.Join(folder, "var/cache/new"), "but not what the difference brought before the marker")
			info, err := os.Stat(filepath.Join(folder, "etc/passwd"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode())
			require.True(t, info.ModTime().Equal(then))
			target, err := os.Readlink(filepath.Join(folder, "bin"))
			require.NoError(t, err)
			require.Equal(t, "/usr/bin", target)
			one, err := os.Stat(filepath.Join(folder, "new/deep/file"))
			require.NoError(t, err)
			require.Equal(t, os.ModeSetuid|0o755, one.Mode())
			other, err := os.Stat(filepath.Join(folder, "new/link"))
			require.NoError(t, err)
			require.True(t, os.SameFile(one, other))
			pipe, err := os.Stat(filepath.Join(folder, "new/pipe"))
			require.NoError(t, err)
			require.Equal(t, os.ModeNamedPipe|0o640, pipe.Mode())
		})
	}
}

func TestHostileRootDiffs(t *testing.T) {
	for name, members := range map[string][]member{
		"parent":                 {{tar.Header{Name: "../escaped"}, "x"}},
		"absolute":               {{tar.Header{Name: "/escaped"}, "x"}},
		"through symlink":        {{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, ""}, {tar.Header{Name: "out/escaped"}, "x"}},
		"through absolute link":  {{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, ""}, {tar.Header{Name: "out/escaped"}, "x"}},
		"whiteout of parent":     {{tar.Header{Name: ".wh..."}, ""}},
		"whiteout of nothing":    {{tar.Header{Name: "etc/.wh."}, ""}},
		"whiteout through link":  {{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, ""}, {tar.Header{Name: "out/.wh.folder"}, ""}},
		"opaque through link":    {{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, ""}, {tar.Header{Name: "out/.wh..wh..opq"}, ""}},
		"hard link to parent":    {{tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "../secret"}, ""}},
		"hard link to absolute":  {{tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, ""}},
		"device":                 {{tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}, ""}},
		"root replaced by file":  {{tar.Header{Name: "."}, "x"}},
		"root replaced by link":  {{tar.Header{Name: ".", Typeflag: tar.TypeSymlink, Linkname: "/"}, ""}},
		"folder beneath a file":  {{tar.Header{Name: "bin/sh/x"}, "x"}},
		"hard link through link": {{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, ""}, {tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "out/folder/bin/sh"}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, untouched := rootfs(t)
			err := ApplyRootDiff(bytes.NewReader(archived(t, owned(members...)...)), folder, Limits{})
			require.Error(t, err)
			untouched()
			require.FileExists(t, filepath.Join(folder, "etc/passwd"))
		})
	}
}

func TestRootDiffIsBounded(t *testing.T) {
	folder, _ := rootfs(t)
	bomb := zipped(t, archived(t, owned(member{tar.Header{Name: "zeros"}, string(make([]byte, 1<<20))})...))
	require.Less(t, len(bomb), 1<<13)
	err := ApplyRootDiff(bytes.NewReader(bomb), folder, Limits{Bytes: 1 << 19})
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.NoFileExists(t, filepath.Join(folder, "zeros"))
}

// FuzzApplyRootDiff: whatever the difference, nothing beside the root file system changes.
func FuzzApplyRootDiff(f *testing.F) {
	f.Add(archived(f, owned(member{tar.Header{Name: "etc/.wh.gone"}, ""}, member{tar.Header{Name: "a/b"}, "x"})...))
	f.Add(archived(f, owned(member{tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."}, ""}, member{tar.Header{Name: "out/escaped"}, "x"})...))
	f.Fuzz(func(t *testing.T, diff []byte) {
		folder, untouched := rootfs(t)
		_ = ApplyRootDiff(bytes.NewReader(diff), folder, Limits{Bytes: 1 << 20, Members: 50})
		untouched()
	})
}
