package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Artifact is a file or folder of the cache.
type Artifact struct {
	Name string
	// Key is the hash of all that the artifact is made of: see Hash.
	Key string
	// Make creates the artifact at dst, a path that does not exist yet.
	Make func(ctx context.Context, dst string) error
}

// Cache is a folder of artifacts.
type Cache struct{ Dir string }

// DefaultCache is in the user's cache folder, $XDG_CACHE_HOME or ~/.cache.
func DefaultCache() (*Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the cache folder: %w", err)
	}
	return &Cache{Dir: filepath.Join(dir, "ms2m")}, nil
}

// Path is where the artifact is once it has been made.
func (c *Cache) Path(a Artifact) string {
	return filepath.Join(c.Dir, a.Key, a.Name)
}

// Missing lists those artifacts that have to be made.
func (c *Cache) Missing(artifacts []Artifact) []Artifact {
	var missing []Artifact
	for _, a := range artifacts {
		if _, err := os.Lstat(c.Path(a)); err != nil {
			missing = append(missing, a)
		}
	}
	return missing
}

// Make makes one artifact beside its place and moves it there when complete: a killed build leaves nothing that looks
// finished. Hold the Lock.
func (c *Cache) Make(ctx context.Context, a Artifact) error {
	dst := c.Path(a)
	tmp := filepath.Join(filepath.Dir(dst), ".unfinished-"+a.Name)
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(filepath.Dir(dst), 0o755)); err != nil {
		return fmt.Errorf("preparing the cache: %w", err)
	}
	if err := a.Make(ctx, tmp); err != nil {
		return errors.Join(fmt.Errorf("making %s: %w", a.Name, err), os.RemoveAll(tmp))
	}
	return os.Rename(tmp, dst)
}

// Lock keeps other harnesses from building into the same cache until the returned function is called.
func (c *Cache) Lock() (unlock func() error, err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cache: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the cache: %w", err), f.Close())
	}
	return f.Close, nil
}

// Hash is the key of an artifact made of these words.
func Hash(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%d:%s", len(w), w)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// HashFolder is the key of a folder's content: names and bytes of its regular files.
func HashFolder(dir string) (string, error) {
	var words []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		words = append(words, rel, string(content))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", dir, err)
	}
	return Hash(words...), nil
}
