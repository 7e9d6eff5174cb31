package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	// configFile may say where runc and the node's folder are: {"runc": "...", "root": "..."}. It takes precedence over
	// installedFile, which the installer writes beside the folder of this program.
	configFile    = "/etc/ms2m/runc.json"
	installedFile = "../runc.json"
	// configEnv names another file in place of both.
	configEnv = "MS2M_RUNC_CONFIG"
)

// Config of the wrapper on its node.
type Config struct {
	// Runc is the path of the real runtime. Default: the first in PATH and the usual folders.
	Runc string `json:"runc"`
	// Root is the node's folder, shared with the agent. Default /var/lib/ms2m.
	Root string `json:"root"`
}

// folders that programs of container runtimes are found in, where PATH has none.
var folders = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/bin", "/usr/libexec/crio"}

// LoadConfig reads the configuration files, those that there are.
func LoadConfig() (Config, error) {
	c := Config{Root: "/var/lib/ms2m"}
	files := []string{configFile}
	if self, err := os.Executable(); err == nil {
		files = []string{filepath.Join(filepath.Dir(self), installedFile), configFile}
	}
	if file := os.Getenv(configEnv); file != "" {
		files = []string{file}
	}
	for _, file := range files {
		if err := c.read(file); err != nil {
			return c, err
		}
	}
	if c.Runc == "" {
		c.Runc = find("runc")
	}
	return c, nil
}

// read what the file says; it need not exist.
func (c *Config) read(file string) error {
	b, err := os.ReadFile(file) // #nosec G304 G703 -- set by the node's administrator
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	if err := json.Unmarshal(b, c); err != nil {
		return fmt.Errorf("decoding configuration %s: %w", file, err)
	}
	return nil
}

// find a program on the node. When there is none, its name says in errors what is missing.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, folder := range folders {
		path := filepath.Join(folder, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return program
}
