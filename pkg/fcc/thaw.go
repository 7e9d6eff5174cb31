package fcc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A checkpoint that is broken off, because whoever asked for it died, can leave its container frozen: the container
// runtime's own thaw is broken off with it. So the runtime wrapper watches over every freeze, and these files ask it to
// thaw at once.

func thawFile(root, podUID, container string) string {
	return filepath.Join(root, "thaw", podUID, container)
}

// RequestThaw asks the runtime wrapper to thaw a container if it is frozen.
func RequestThaw(root, podUID, container string) error {
	if err := errors.Join(CheckIDs(podUID), CheckContainer(container)); err != nil {
		return fmt.Errorf("requesting thaw: %w", err)
	}
	path := thawFile(root, podUID, container)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("requesting thaw: %w", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("requesting thaw: %w", err)
	}
	return nil
}

// ThawRequested tells whether a thaw was requested since a time.
func ThawRequested(root, podUID, container string, since time.Time) bool {
	info, err := os.Stat(thawFile(root, podUID, container))
	return err == nil && !info.ModTime().Before(since)
}

// ForgetThaw takes a request back.
func ForgetThaw(root, podUID, container string) {
	path := thawFile(root, podUID, container)
	_ = os.Remove(path)
	_ = os.Remove(filepath.Dir(path)) // succeeds with the pod's last one only
}
