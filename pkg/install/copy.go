package install

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyFile puts a program in place, unless it is there already. One that runs goes on with the old content.
func copyFile(from, to string, mode fs.FileMode) (changed bool, err error) {
	want, err := digest(from)
	if err != nil {
		return false, fmt.Errorf("reading %s of the image: %w", filepath.Base(from), err)
	}
	if has, err := digest(to); err == nil && bytes.Equal(has, want) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // a folder of programs
		return false, fmt.Errorf("writing %s: %w", to, err)
	}
	in, err := os.Open(from) // #nosec G304 -- of the image
	if err != nil {
		return false, err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	return true, place(to, mode, func(f *os.File) error { _, err := io.Copy(f, in); return err })
}

func digest(file string) ([]byte, error) {
	f, err := os.Open(file) // #nosec G304 -- of the image, or put in place before
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

// copyFolder copies files and links to them; what is in place already stays.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if d.Type()&fs.ModeSymlink != 0 {
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if has, err := os.Readlink(target); err == nil && has == link {
				return nil
			}
			return errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.RemoveAll(target), os.Symlink(link, target)) //nolint:gosec // a folder of programs
		}
		info, err := d.Info()
		if err == nil {
			_, err = copyFile(path, target, info.Mode().Perm())
		}
		return err
	})
}
