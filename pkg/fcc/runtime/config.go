package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const (
	// configFile may say where runc and the node's folder are: {"runc": "...", "root": "..."}.
	configFile = "/etc/ms2m/runc.json"
	// configEnv names another file.
	configEnv = "MS2M_RUNC_CONFIG"
)

// Config of the wrapper on its node.
type Config struct {
	// Runc is the path of the real runtime. Default /opt/bin/runc.
	Runc string `json:"runc"`
	// Root is the node's folder, shared with the agent. Default /var/lib/ms2m.
	Root string `json:"root"`
}

// LoadConfig reads the configuration file, if there is one.
func LoadConfig() (Config, error) {
	c := Config{Runc: "/opt/bin/runc", Root: "/var/lib/ms2m"}
	file := os.Getenv(configEnv)
	if file == "" {
		file = configFile
	}
	b, err := os.ReadFile(file) // #nosec G304 G703 -- set by the node's administrator
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("reading configuration: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("decoding configuration %s: %w", file, err)
	}
	return c, nil
}
