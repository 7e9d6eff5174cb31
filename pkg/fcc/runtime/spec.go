package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What the wrapper shares with webhook and gate. It is repeated here, because the wrapper is to be small and the API's
// package needs Kubernetes' libraries; a test of the agent, which knows both, compares them.
const (
	AnnotationRestore     = "ms2m.dev/restore"
	AnnotationBrokerPorts = "ms2m.dev/broker-ports"
	GateContainer         = "ms2m-gate"
	GateFolder            = "/run/ms2m"
	GateUID               = 65420
	GatePort              = 45672
)

// Annotations by containerd, which no user can set.
const (
	annotationType   = "io.kubernetes.cri.container-type"
	annotationName   = "io.kubernetes.cri.container-name"
	annotationPodUID = "io.kubernetes.cri.sandbox-uid"
)

// spec is a bundle's config.json. It is edited as a tree, so that what the wrapper does not know stays as it is.
type spec struct {
	file string
	tree map[string]any
}

func readSpec(bundle string) (*spec, error) {
	s := &spec{file: filepath.Join(bundle, "config.json")}
	b, err := os.ReadFile(s.file)
	if err != nil {
		return nil, fmt.Errorf("reading container's configuration: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // keeps numbers beyond the reach of floats
	if err := d.Decode(&s.tree); err != nil {
		return nil, fmt.Errorf("decoding container's configuration: %w", err)
	}
	return s, nil
}

// write replaces the file.
func (s *spec) write() error {
	b, err := json.Marshal(s.tree)
	if err != nil {
		return fmt.Errorf("encoding container's configuration: %w", err)
	}
	info, err := os.Stat(s.file)
	if err == nil {
		err = os.WriteFile(s.file+".new", b, info.Mode().Perm())
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing container's configuration: %w", err), os.RemoveAll(s.file+".new"))
	}
	return nil
}

// object returns the object at a path of keys, made if absent.
func (s *spec) object(keys ...string) map[string]any {
	at := s.tree
	for _, k := range keys {
		next, ok := at[k].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[k] = next
		}
		at = next
	}
	return at
}

func (s *spec) list(object map[string]any, key string) []any {
	l, _ := object[key].([]any)
	return l
}

func (s *spec) annotation(key string) string {
	a, _ := s.tree["annotations"].(map[string]any)
	return annotationOf(a, key)
}

// namespace returns the path of a namespace that the container joins, "" if it gets its own or the node's.
func (s *spec) namespace(kind string) string {
	linux, _ := s.tree["linux"].(map[string]any)
	for _, n := range s.list(linux, "namespaces") {
		if n, ok := n.(map[string]any); ok && n["type"] == kind {
			path, _ := n["path"].(string)
			return path
		}
	}
	return ""
}

// rootfs of the container on the node.
func (s *spec) rootfs() (string, error) {
	root, _ := s.tree["root"].(map[string]any)
	path, _ := root["path"].(string)
	if path == "" {
		return "", errors.New("reading container's configuration: it names no root file system")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(s.file), path)
	}
	return path, nil
}

// restored tells whether the pod asks for the restore of this container.
func (s *spec) restored(container string) bool {
	names := strings.Split(s.annotation(AnnotationRestore), ",")
	return slices.ContainsFunc(names, func(n string) bool { return strings.TrimSpace(n) == container })
}
