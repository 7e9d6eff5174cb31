package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/sys/unix"
)

// containerd gets the handler by a file that its own configuration imports.
type containerd struct{ *node }

// annotations that containerd hands on to the wrapper.
var annotations = []string{"ms2m.dev/*"}

// binaryName is the option of containerd's runc handlers that names the program.
const binaryName = "BinaryName"

// containerdConfig is what this program reads of the configuration that containerd reports. Options are as in the file.
type containerdConfig struct {
	Containerd struct {
		DefaultRuntimeName string                    `json:"defaultRuntimeName"`
		Runtimes           map[string]runtimeHandler `json:"runtimes"`
	} `json:"containerd"`
}

// runtimeHandler of containerd, as it reports it and as it is configured.
type runtimeHandler struct {
	Type                 string         `json:"runtimeType" toml:"runtime_type"`
	PodAnnotations       []string       `json:"PodAnnotations" toml:"pod_annotations"`
	ContainerAnnotations []string       `json:"ContainerAnnotations" toml:"container_annotations"`
	Privileged           bool           `json:"privileged_without_host_devices" toml:"privileged_without_host_devices,omitempty"`
	BaseSpec             string         `json:"baseRuntimeSpec" toml:"base_runtime_spec,omitempty"`
	CNIFolder            string         `json:"cniConfDir" toml:"cni_conf_dir,omitempty"`
	CNIMax               int            `json:"cniMaxConfNum" toml:"cni_max_conf_num,omitempty"`
	Snapshotter          string         `json:"snapshotter" toml:"snapshotter,omitempty"`
	Options              map[string]any `json:"options" toml:"options"`
}

// origin is the node's own handler of runc, whose options ours shares: the cgroup driver above all.
func (c *containerdConfig) origin() (runtimeHandler, error) {
	for _, name := range []string{"runc", c.Containerd.DefaultRuntimeName} {
		if h, ok := c.Containerd.Runtimes[name]; ok && h.Type == "io.containerd.runc.v2" {
			return h, nil
		}
	}
	return runtimeHandler{}, errors.New("reading containerd's configuration: it has no runtime of type io.containerd.runc.v2, which restores need")
}

// ours is the handler that the node gets: that of the node's runc, with the wrapper in runc's place.
func (h runtimeHandler) ours(wrapper string) runtimeHandler {
	options := map[string]any{}
	for key, value := range h.Options {
		switch v := value.(type) {
		case float64: // every number of JSON
			options[key] = int64(v)
		case string:
			if v != "" {
				options[key] = v
			}
		default:
			options[key] = v
		}
	}
	options[binaryName] = wrapper
	h.Options = options
	for _, a := range annotations {
		if !slices.Contains(h.PodAnnotations, a) {
			h.PodAnnotations = append(slices.Clone(h.PodAnnotations), a)
		}
		if !slices.Contains(h.ContainerAnnotations, a) {
			h.ContainerAnnotations = append(slices.Clone(h.ContainerAnnotations), a)
		}
	}
	return h
}

func (c *containerd) configure(ctx context.Context) (runc string, changed bool, err error) {
	var running containerdConfig
	if err := c.cri.config(ctx, &running); err != nil {
		return "", false, err
	}
	origin, err := running.origin()
	if err != nil {
		return "", false, err
	}
	runc, _ = origin.Options[binaryName].(string)
	want := origin.ours(c.wrapper())
	if has, ok := running.Containerd.Runtimes[Handler]; ok && reflect.DeepEqual(has.ours(c.wrapper()), want) && has.Options[binaryName] == c.wrapper() {
		return runc, false, nil
	}
	config, err := os.ReadFile(c.ContainerdConfig)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("reading containerd's configuration: %w", err)
	}
	imported, err := addImport(config, filepath.Dir(c.ContainerdConfig), c.DropIn)
	if err != nil {
		return "", false, fmt.Errorf("adding %s to the imports of %s: %w", c.DropIn, c.ContainerdConfig, err)
	}
	dropIn, err := handlerFile(versionOf(imported), want)
	if err != nil {
		return "", false, err
	}
	// The file first: containerd does not start when a file that it imports is missing.
	wrote, err := replace(c.DropIn, dropIn)
	if err != nil {
		return "", false, err
	}
	edited, err := replace(c.ContainerdConfig, imported)
	return runc, wrote || edited, err
}

// sections of containerd's configuration that hold the handlers, by the configuration's version.
var sections = map[int]string{2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}

func handlerFile(version int, handler runtimeHandler) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintln(&out, "# The runtime handler of RuntimeClass "+Handler+": written, and taken away, by the installer of ms2m-descheduler.")
	err := toml.NewEncoder(&out).Encode(map[string]any{
		"version": version,
		"plugins": map[string]any{sections[version]: map[string]any{
			"containerd": map[string]any{"runtimes": map[string]any{Handler: handler}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding containerd's configuration: %w", err)
	}
	return out.Bytes(), nil
}

func (c *containerd) unconfigure() (changed bool, err error) {
	config, err := os.ReadFile(c.ContainerdConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading containerd's configuration: %w", err)
	}
	without, err := removeImport(config, c.DropIn)
	if err != nil {
		return false, fmt.Errorf("taking %s out of the imports of %s: %w", c.DropIn, c.ContainerdConfig, err)
	}
	// The import first, for the same reason.
	if len(without) == 0 {
		err = os.Remove(c.ContainerdConfig)
	} else {
		_, err = replace(c.ContainerdConfig, without)
	}
	if err != nil {
		return false, fmt.Errorf("restoring containerd's configuration: %w", err)
	}
	gone, err := remove(c.DropIn)
	_ = os.Remove(filepath.Dir(c.DropIn)) // unless others have files there
	return gone || !bytes.Equal(config, without), err
}

// reload ends containerd, which its service manager then starts again: it does not read its configuration otherwise.
func (c *containerd) reload(ctx context.Context, pid int) error {
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	return c.cri.await(ctx, "its start (does its service have Restart=always?)", func(ctx context.Context) (bool, error) {
		now, err := c.cri.server()
		if err != nil || now == pid {
			return false, err
		}
		_, err = c.cri.status(ctx)
		return err == nil, err
	})
}
