package archive

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// good are the members of a small archive that can be restored.
func good() []member {
	return []member{
		{tar.Header{Name: "checkpoint/", Typeflag: tar.TypeDir, Mode: 0o700}, ""},
		{tar.Header{Name: "checkpoint/inventory.img"}, "inventory"},
		{tar.Header{Name: "checkpoint/descriptors.json"}, `["/dev/null","pipe:[1]","pipe:[2]"]`},
		{tar.Header{Name: "checkpoint/pages-1.img", Mode: 0o4777}, strings.Repeat("memory", 1000)},
		{tar.Header{Name: "config.dump"}, "{}"},
		{tar.Header{Name: "spec.dump"}, "{}"},
		{tar.Header{Name: "io.kubernetes.cri-o.LogPath"}, "log"},
	}
}

type member struct {
	tar.Header
	content string
}

// archived writes members as a tar archive.
func archived(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := m.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(m.content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte(m.content))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// inside returns a folder to unpack into and a check that nothing was written beside it.
func inside(t testing.TB) (string, func()) {
	t.Helper()
	outer := t.TempDir()
	folder := filepath.Join(outer, "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	return folder, func() {
		entries, err := os.ReadDir(outer)
		require.NoError(t, err)
		require.Len(t, entries, 1, "something was written outside of the folder")
	}
}

func TestUnpack(t *testing.T) {
	folder, untouched := inside(t)
	require.NoError(t, Unpack(bytes.NewReader(archived(t, good()...)), folder, Limits{}))
	untouched()
	b, err := os.ReadFile(filepath.Join(folder, "checkpoint/pages-1.img"))
	require.NoError(t, err)
	require.Len(t, b, 6000)
	info, err := os.Stat(filepath.Join(folder, "checkpoint/pages-1.img"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode(), "process memory is for root only, whatever the archive says")
}

func TestHostileArchives(t *testing.T) {
	for name, c := range map[string]struct {
		member member
		reason string
	}{
		"symlink":            {member{tar.Header{Name: "container.log", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}, ""}, "symbolic link"},
		"symlink as folder":  {member{tar.Header{Name: "checkpoint", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, ""}, "symbolic link"},
		"hard link":          {member{tar.Header{Name: "status", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}, ""}, "hard link"},
		"character device":   {member{tar.Header{Name: "status", Typeflag: tar.TypeChar}, ""}, "device"},
		"block device":       {member{tar.Header{Name: "status", Typeflag: tar.TypeBlock}, ""}, "device"},
		"named pipe":         {member{tar.Header{Name: "status", Typeflag: tar.TypeFifo}, ""}, "named pipe"},
		"parent":             {member{tar.Header{Name: "../escaped"}, "x"}, "not part"},
		"parent inside":      {member{tar.Header{Name: "checkpoint/../../escaped"}, "x"}, "not part"},
		"absolute":           {member{tar.Header{Name: "/status"}, "x"}, "not part"},
		"unknown":            {member{tar.Header{Name: "rootfs/bin/sh"}, "x"}, "not part"},
		"hidden image":       {member{tar.Header{Name: "checkpoint/.ssh"}, "x"}, "not part"},
		"folder in images":   {member{tar.Header{Name: "checkpoint/deep/x.img"}, "x"}, "not part"},
		"unknown folder":     {member{tar.Header{Name: "artifacts/", Typeflag: tar.TypeDir}, ""}, "no folder"},
		"duplicate":          {member{tar.Header{Name: "config.dump"}, "other"}, "twice"},
		"duplicate in guise": {member{tar.Header{Name: "./config.dump"}, "other"}, "twice"},
		"sparse":             {member{tar.Header{Name: "status", Format: tar.FormatPAX, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}, "x"}, "sparse"},
		"many descriptors":   {member{tar.Header{Name: "checkpoint/x/descriptors.json"}, "[]"}, "not part"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, untouched := inside(t)
			var b []byte
			if name == "sparse" {
				b = sparse(t)
			} else {
				b = archived(t, append(good(), c.member)...)
			}
			err := Unpack(bytes.NewReader(b), folder, Limits{})
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Reason, c.reason)
			untouched()
		})
	}
}

// sparse is an archive with a sparse member, which archive/tar reads but does not write.
func sparse(t *testing.T) []byte {
	t.Helper()
	b := archived(t, member{tar.Header{Name: "status", Format: tar.FormatGNU}, strings.Repeat("x", 512)})
	b[156] = tar.TypeGNUSparse
	copy(b[483:], "00000001000\x00") // the real size
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], []byte(strings.Repeat("0", 6-len(octal(sum)))+octal(sum)+"\x00 "))
	return b
}

func octal(n int) string {
	s := ""
	for ; n > 0; n /= 8 {
		s = string(rune('0'+n%8)) + s
	}
	return s
}

func TestArchivesOutOfBounds(t *testing.T) {
	whole := archived(t, good()...)
	huge := bytes.NewBuffer(nil)
	w := tar.NewWriter(huge)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "checkpoint/pages-1.img", Typeflag: tar.TypeReg, Size: 1 << 60, Mode: 0o600}))
	big := bytes.NewBuffer(nil)
	w = tar.NewWriter(big)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "config.dump", Typeflag: tar.TypeReg, Size: smallFile + 1, Mode: 0o600}))
	manyStreams := good()
	manyStreams[2].content = `["a","b","c","pipe:[3]"]`
	notAList := good()
	notAList[2].content = `{"a":1}`
	for name, c := range map[string]struct {
		archive []byte
		limits  Limits
		reason  string
	}{
		"huge member":         {huge.Bytes(), Limits{}, "exceeds"},
		"large small member":  {big.Bytes(), Limits{}, "more than"},
		"too large in all":    {whole, Limits{Bytes: 1000}, "exceeds 1000"},
		"too many members":    {whole, Limits{Members: 3}, "more than 3 members"},
		"truncated in member": {whole[:4000], Limits{}, "unexpected EOF"},
		"truncated between":   {whole[:512], Limits{}, "is missing"},
		"empty":               {nil, Limits{}, "is missing"},
		"no tar":              {bytes.Repeat([]byte("x"), 4096), Limits{}, "invalid tar header"},
		"something behind":    {append(append([]byte{}, whole...), "more"...), Limits{}, "follows its end"},
		"endless zeros":       {append(append([]byte{}, whole...), make([]byte, padding+1)...), Limits{}, "follows its end"},
		"too many streams":    {archived(t, manyStreams...), Limits{}, "standard streams"},
		"no list of streams":  {archived(t, notAList...), Limits{}, "standard streams"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, untouched := inside(t)
			require.ErrorContains(t, Unpack(bytes.NewReader(c.archive), folder, c.limits), c.reason)
			untouched()
		})
	}
}

// FuzzUnpack: whatever the archive, nothing is written outside, and what is inside are plain files of known names.
func FuzzUnpack(f *testing.F) {
	f.Add(archived(f, good()...))
	f.Add(archived(f, append(good(), member{tar.Header{Name: "../escaped"}, "x"})...))
	f.Add(archived(f, member{tar.Header{Name: "checkpoint", Typeflag: tar.TypeSymlink, Linkname: ".."}, ""}, good()[1]))
	f.Fuzz(func(t *testing.T, archive []byte) {
		folder, untouched := inside(t)
		err := Unpack(bytes.NewReader(archive), folder, Limits{Bytes: 1 << 20, Members: 50})
		untouched()
		require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			require.NoError(t, err)
			name, _ := filepath.Rel(folder, path)
			require.True(t, d.Type().IsRegular() || d.IsDir(), "%s is %s", name, d.Type())
			_, known := members[name]
			require.True(t, known || name == "." || name == Images || filepath.Dir(name) == Images, name)
			return nil
		}))
		if err == nil {
			require.FileExists(t, filepath.Join(folder, Images, "inventory.img"))
		}
	})
}
