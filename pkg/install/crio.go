package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"
)

// crio gets the handler by a file in the folder of its configuration.
type crio struct{ *node }

// crioDropIn is read after those that distributions bring.
const crioDropIn = "crio.conf.d/99-ms2m.conf"

// crioConfig is what this program reads and writes of CRI-O's configuration.
type crioConfig struct {
	CRIO struct {
		Runtime struct {
			DefaultRuntime string                    `toml:"default_runtime,omitempty"`
			Runtimes       map[string]map[string]any `toml:"runtimes"`
		} `toml:"runtime"`
	} `toml:"crio"`
}

func (c *crio) configure(context.Context) (runc string, changed bool, err error) {
	origin, err := c.origin()
	if err != nil {
		return "", false, err
	}
	runc, _ = origin["runtime_path"].(string)
	handler := maps.Clone(origin)
	handler["runtime_path"] = c.wrapper()
	var file crioConfig
	file.CRIO.Runtime.Runtimes = map[string]map[string]any{Handler: handler}
	b, err := toml.Marshal(file)
	if err != nil {
		return "", false, fmt.Errorf("encoding CRI-O's configuration: %w", err)
	}
	b = append([]byte("# The runtime handler of RuntimeClass "+Handler+": written, and taken away, by the installer of ms2m-descheduler.\n"), b...)
	changed, err = replace(filepath.Join(c.CRIOConfig, crioDropIn), b)
	return runc, changed, err
}

// origin is the node's handler of runc, as CRI-O reads its files: a later one replaces an earlier.
func (c *crio) origin() (map[string]any, error) {
	files, err := filepath.Glob(filepath.Join(c.CRIOConfig, "crio.conf.d", "*"))
	if err != nil {
		return nil, fmt.Errorf("listing CRI-O's configuration: %w", err)
	}
	slices.Sort(files)
	origin := map[string]any{"runtime_type": "oci", "runtime_root": "/run/runc"}
	for _, file := range append([]string{filepath.Join(c.CRIOConfig, "crio.conf")}, files...) {
		b, err := os.ReadFile(file) // #nosec G304 -- the node's configuration
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading CRI-O's configuration: %w", err)
		}
		var config crioConfig
		if err := toml.Unmarshal(b, &config); err != nil {
			return nil, fmt.Errorf("decoding %s: %w", file, err)
		}
		if runc, ok := config.CRIO.Runtime.Runtimes["runc"]; ok {
			origin = runc
		}
	}
	return origin, nil
}

func (c *crio) unconfigure() (changed bool, err error) {
	return remove(filepath.Join(c.CRIOConfig, crioDropIn))
}

// reload lets CRI-O read its runtimes again, which it does without a restart.
func (c *crio) reload(ctx context.Context, pid int) error {
	if err := unix.Kill(pid, unix.SIGHUP); err != nil {
		return fmt.Errorf("signalling process %d: %w", pid, err)
	}
	_, err := os.Stat(filepath.Join(c.CRIOConfig, crioDropIn))
	want := err == nil
	return c.cri.await(ctx, "its configuration (a release before 1.31 needs: systemctl restart crio)", func(ctx context.Context) (bool, error) {
		known, err := c.cri.knows(ctx, Handler)
		return known == want, err
	})
}
