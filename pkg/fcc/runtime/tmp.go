package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lendTmp gives a root file system that has none the folder /tmp, and returns how to take it back. CRIU parks the old
// root in the container's /tmp while it pivots, or in a folder that it makes; in a read-only root it can make none, and
// images made from scratch have no /tmp.
func lendTmp(s *spec) (takeBack func(), err error) {
	rootfs, err := s.rootfs()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return nil, fmt.Errorf("opening root file system: %w", err)
	}
	err = root.Mkdir("tmp", 0o700)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, root.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making /tmp for CRIU: %w", err), root.Close())
	}
	return func() {
		_ = root.Remove("tmp") // the app may have put something into it by then
		_ = root.Close()
	}, nil
}
