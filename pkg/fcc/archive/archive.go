// Package archive unpacks what came from another node: the checkpoint archive that a kubelet made, and inside it the
// difference of the container's root file system to its image. Both are taken as hostile: nothing is written outside
// the given folder, whatever the archive says, and what is not expected is refused with the member's name and the
// reason.
package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
)

// Limits of an archive. Zero fields stand for the defaults.
type Limits struct {
	// Bytes of all members' contents. Default 64 GiB.
	Bytes int64
	// Members, folders included. Default 100 000.
	Members int
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 64 << 30
	}
	if l.Members == 0 {
		l.Members = 100_000
	}
	return l
}

// RefusedError says which member of an archive is not acceptable and why.
type RefusedError struct {
	Member string
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refusing archive: member %q: %s", e.Member, e.Reason)
}

func refuse(member, format string, args ...any) error {
	return &RefusedError{Member: member, Reason: fmt.Sprintf(format, args...)}
}

// Names of the archive's parts that the restore reads.
const (
	// Images is the folder of CRIU's image files.
	Images = "checkpoint"
	// RootDiff is the difference of the root file system, a tar archive, perhaps compressed.
	RootDiff = "rootfs-diff.tar"
	// descriptors lists the container's standard streams for runc.
	descriptors = "descriptors.json"
)

const (
	smallFile = 64 << 20  // bounds a member that is neither process memory nor files of the container
	padding   = 128 << 10 // bounds the zeros after the end of an archive
	fileMode  = 0o600
	folders   = 0o700
)

// members that an archive may have at its top, with their largest size; 0 means bounded by the limits alone. They are
// what containerd and CRI-O write.
var members = map[string]int64{
	RootDiff:                      0,
	"config.dump":                 smallFile,
	"spec.dump":                   smallFile,
	"status.dump":                 smallFile,
	"status":                      smallFile,
	"container.log":               0,
	"dump.log":                    smallFile,
	"stats-dump":                  smallFile,
	"bind.mounts":                 smallFile,
	"deleted.files":               smallFile,
	"io.kubernetes.cri-o.LogPath": 0,
}

// required are the members without which nothing can be restored.
var required = []string{Images + "/inventory.img", Images + "/" + descriptors, "config.dump", "spec.dump"}

// image names the files that CRIU and runc write into the folder Images, which has no folders inside.
var image = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// unpacking of one archive.
type unpacking struct {
	root   *os.Root
	limits Limits
	seen   map[string]bool
	bytes  int64
	buffer []byte
}

// Unpack writes the checkpoint archive that r streams into folder, which must exist and be empty. It reads r to its end.
// After an error the folder holds what had been written; the caller removes it.
func Unpack(r io.Reader, folder string, limits Limits) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("unpacking archive: %w", err)
	}
	defer root.Close() //nolint:errcheck // opened for reading
	u := &unpacking{root: root, limits: limits.withDefaults(), seen: map[string]bool{}, buffer: make([]byte, 256<<10)}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading archive: %w", err)
		}
		if err := u.member(h, tr); err != nil {
			return err
		}
	}
	for _, name := range required {
		if !u.seen[name] {
			return refuse(name, "is missing: the archive is truncated or no checkpoint")
		}
	}
	return endsInZeros(r)
}

// member checks and writes one member.
func (u *unpacking) member(h *tar.Header, content io.Reader) error {
	name, err := u.check(h)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		if name == "." {
			return nil
		}
		return u.folder(name)
	}
	if path.Dir(name) == Images {
		if err := u.folder(Images); err != nil {
			return err
		}
	}
	if path.Base(name) == descriptors {
		return u.descriptors(name, content)
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("unpacking archive: %w", err)
	}
	_, err = io.CopyBuffer(onlyWriter{f}, content, u.buffer)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("unpacking %s: %w", name, err)
	}
	return nil
}

// onlyWriter hides ReadFrom, which would not use the buffer.
type onlyWriter struct{ io.Writer }

func (u *unpacking) folder(name string) error {
	if err := u.root.Mkdir(name, folders); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("unpacking archive: %w", err)
	}
	return nil
}

// check returns the clean name of a member that is acceptable.
func (u *unpacking) check(h *tar.Header) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	if name == "" || h.Name == "." {
		name = "."
	}
	if err := kind(h); err != nil {
		return "", err
	}
	if h.Typeflag == tar.TypeDir {
		if name != "." && name != Images {
			return "", refuse(h.Name, "is no folder of a checkpoint archive")
		}
	} else if err := u.checkFile(name, h); err != nil {
		return "", err
	}
	if u.seen[name] {
		return "", refuse(h.Name, "occurs twice")
	}
	u.seen[name] = true
	if len(u.seen) > u.limits.Members {
		return "", refuse(h.Name, "the archive has more than %d members", u.limits.Members)
	}
	return name, nil
}

// checkFile refuses unknown names and sizes out of bounds, before any content is read.
func (u *unpacking) checkFile(name string, h *tar.Header) error {
	dir, base := path.Split(name)
	limit, known := members[name]
	if dir == Images+"/" && image.MatchString(base) {
		known = true
	}
	if !known {
		return refuse(h.Name, "is not part of a checkpoint archive")
	}
	if limit != 0 && h.Size > limit {
		return refuse(h.Name, "has %d bytes, more than %d", h.Size, limit)
	}
	if h.Size > u.limits.Bytes-u.bytes {
		return refuse(h.Name, "with its %d bytes the archive exceeds %d", h.Size, u.limits.Bytes)
	}
	u.bytes += h.Size
	return nil
}

// kind refuses everything but regular files and folders.
func kind(h *tar.Header) error {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return refuse(h.Name, "is a sparse file")
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
		return nil
	case tar.TypeSymlink:
		return refuse(h.Name, "is a symbolic link, to %q", h.Linkname)
	case tar.TypeLink:
		return refuse(h.Name, "is a hard link, to %q", h.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		return refuse(h.Name, "is a device")
	case tar.TypeFifo:
		return refuse(h.Name, "is a named pipe")
	case tar.TypeGNUSparse:
		return refuse(h.Name, "is a sparse file")
	default:
		return refuse(h.Name, "has the unknown type %q", h.Typeflag)
	}
}

// endsInZeros reads r to its end, so that a digest over it is complete.
func endsInZeros(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, padding+1))
	if err != nil {
		return fmt.Errorf("reading archive: %w", err)
	}
	if len(b) > padding || strings.Trim(string(b), "\x00") != "" {
		return errors.New("refusing archive: something follows its end")
	}
	return nil
}
