package criu

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// AnnotationConfig names, to runc, the file of CRIU's options for one container.
const AnnotationConfig = "org.criu.config"

// options of dump and restore, in the form of CRIU's configuration files.
const options = `# Options of CRIU for containers of prepared pods.
# An open TCP connection is restored closed: the app reads the end of the stream and reconnects.
tcp-close
# Connections that are not yet accepted are left out.
skip-in-flight
# The pod's network stays open while a container is dumped: the gate and probes go on, and no connection is restored
# that a packet could break.
network-lock skip
# Locks on files of the container's own file system are restored.
file-locks
# Files that are open and deleted come along up to this size.
ghost-limit 64M
`

// WriteOptions writes the options' file into folder, if it is not there yet, and returns its path.
func WriteOptions(folder string) (string, error) {
	file := filepath.Join(folder, "criu.conf")
	old, err := os.ReadFile(file) // #nosec G304 -- the node's folder
	if err == nil && bytes.Equal(old, []byte(options)) {
		return file, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading CRIU's options: %w", err)
	}
	// Written whole and renamed: another container's dump may be reading it.
	f, err := os.CreateTemp(folder, "criu.conf-")
	if err != nil {
		return "", fmt.Errorf("writing CRIU's options: %w", err)
	}
	_, err = f.WriteString(options)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("writing CRIU's options: %w", err), os.Remove(f.Name()))
	}
	return file, nil
}
