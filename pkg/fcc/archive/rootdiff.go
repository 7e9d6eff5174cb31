package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// OCI whiteouts: an entry with the prefix deletes the entry without it; the opaque marker deletes what lies below.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// applying of one difference.
type applying struct {
	root    *os.Root
	limits  Limits
	bytes   int64
	members int
	// written are the paths that came from the difference: an opaque marker spares them.
	written map[string]bool
	times   []*tar.Header
	buffer  []byte
}

// ApplyRootDiff applies the difference of a root file system, a tar archive plain or gzipped with OCI whiteouts, to the
// root file system at folder. Links are written as the container's content but never followed out of the folder;
// devices are refused.
func ApplyRootDiff(diff io.Reader, folder string, limits Limits) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("applying root file system: %w", err)
	}
	defer root.Close() //nolint:errcheck // opened for reading
	plain, err := decompress(diff)
	if err != nil {
		return fmt.Errorf("applying root file system: %w", err)
	}
	a := &applying{root: root, limits: limits.withDefaults(), written: map[string]bool{}, buffer: make([]byte, 256<<10)}
	tr := tar.NewReader(plain)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return a.setTimes()
		}
		if err != nil {
			return fmt.Errorf("reading difference of root file system: %w", err)
		}
		if err := a.member(h, tr); err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) {
				return err
			}
			return fmt.Errorf("applying %q to root file system: %w", h.Name, err)
		}
	}
}

func decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	if magic, err := b.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil //nolint:nilerr // what is too short to be gzipped fails, or ends, as tar
	}
	return gzip.NewReader(b)
}

// member applies one member.
func (a *applying) member(h *tar.Header, content io.Reader) error {
	name := path.Clean(strings.TrimPrefix(h.Name, "/"))
	if !filepath.IsLocal(name) || strings.HasPrefix(h.Name, "/") {
		return refuse(h.Name, "leads out of the root file system")
	}
	a.members++
	a.bytes += h.Size
	if a.members > a.limits.Members || a.bytes > a.limits.Bytes {
		return refuse(h.Name, "the root file system's difference exceeds %d members or %d bytes", a.limits.Members, a.limits.Bytes)
	}
	base := path.Base(name)
	switch {
	case base == opaque:
		return a.clear(path.Dir(name))
	case strings.HasPrefix(base, whiteout):
		return a.remove(path.Dir(name), strings.TrimPrefix(base, whiteout), h)
	}
	if err := a.write(name, h, content); err != nil {
		return err
	}
	a.written[name] = true
	a.times = append(a.times, h)
	return nil
}

func (a *applying) remove(dir, base string, h *tar.Header) error {
	if base == "" || base == "." || base == ".." {
		return refuse(h.Name, "is no whiteout of an entry")
	}
	return a.root.RemoveAll(path.Join(dir, base))
}

// clear removes what a folder has from the image.
func (a *applying) clear(dir string) error {
	f, err := a.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	for _, n := range names {
		if p := path.Join(dir, n); !a.written[p] {
			if err := a.root.RemoveAll(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// write replaces the entry at name by the member; a folder stays a folder.
func (a *applying) write(name string, h *tar.Header, content io.Reader) error {
	if err := a.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if old, err := a.root.Lstat(name); err == nil && (!old.IsDir() || h.Typeflag != tar.TypeDir) {
		if name == "." {
			return refuse(h.Name, "replaces the root file system itself")
		}
		if err := a.root.RemoveAll(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := a.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return a.dress(name, h)
	case tar.TypeReg:
		f, err := a.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(onlyWriter{f}, content, a.buffer)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		return a.dress(name, h)
	case tar.TypeSymlink:
		if err := a.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return a.root.Lchown(name, h.Uid, h.Gid)
	case tar.TypeLink:
		return a.link(name, h)
	case tar.TypeFifo:
		if err := a.fifo(name); err != nil {
			return err
		}
		if err := a.root.Lchown(name, h.Uid, h.Gid); err != nil {
			return err
		}
		return a.root.Chmod(name, h.FileInfo().Mode().Perm())
	default:
		return refuse(h.Name, "is neither file, folder, link nor named pipe: devices are not restored")
	}
}

// link makes a hard link between entries of the root file system. Its target, as any path here, is resolved inside.
func (a *applying) link(name string, h *tar.Header) error {
	target := path.Clean(h.Linkname)
	if !filepath.IsLocal(target) {
		return refuse(h.Name, "is a hard link out of the root file system, to %q", h.Linkname)
	}
	return a.root.Link(target, name)
}

func (a *applying) fifo(name string) error {
	dir, err := a.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // opened for reading
	return unix.Mkfifoat(int(dir.Fd()), path.Base(name), 0o600)
}

// dress gives a file or folder its owner, mode and extended attributes, through a descriptor, so that no link is
// followed. The owner comes first: changing it takes away set-user-ID bits and capabilities.
func (a *applying) dress(name string, h *tar.Header) error {
	f, err := a.root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	if err := f.Chown(h.Uid, h.Gid); err != nil {
		return err
	}
	if err := f.Chmod(h.FileInfo().Mode()); err != nil {
		return err
	}
	for key, value := range h.PAXRecords {
		attribute, ok := strings.CutPrefix(key, "SCHILY.xattr.")
		if !ok || (attribute != "security.capability" && !strings.HasPrefix(attribute, "user.")) {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), attribute, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("setting attribute %s: %w", attribute, err)
		}
	}
	return nil
}

// setTimes sets the times of files and folders last, as writing into a folder changes its own.
func (a *applying) setTimes() error {
	for i := len(a.times) - 1; i >= 0; i-- {
		h := a.times[i]
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			continue
		}
		name := path.Clean(h.Name)
		info, err := a.root.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			continue // a later member removed or replaced it
		}
		if err := a.root.Chtimes(name, h.ModTime, h.ModTime); err != nil {
			return fmt.Errorf("setting times of %q: %w", h.Name, err)
		}
	}
	return nil
}
