package install

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

const (
	// newConfig is a configuration of containerd for a node that has none, and runs with the defaults.
	newConfig = "version = 3\n"
	// ownLine ends an imports line that was not there before.
	ownLine = " # added by ms2m-descheduler\n"
)

var (
	// importsKey is the beginning of the list of imports, a key before the first table.
	importsKey = regexp.MustCompile(`(?m)^[ \t]*["']?imports["']?[ \t]*=[ \t]*\[`)
	firstTable = regexp.MustCompile(`(?m)^[ \t]*\[`)
)

// addImport returns containerd's configuration, which lies in dir, with a file among its imports, every other byte as it
// was. A configuration that imports the file already stays as it is; no configuration becomes a new one.
func addImport(config []byte, dir, file string) ([]byte, error) {
	before, err := decode(config)
	if err != nil {
		return nil, err
	}
	imports := importsOf(before)
	if slices.ContainsFunc(imports, func(pattern string) bool { return matches(dir, pattern, file) }) {
		return config, nil
	}
	entry := "'" + file + "'"
	var after []byte
	head := config
	if table := firstTable.FindIndex(config); table != nil {
		head = config[:table[0]]
	}
	if at := importsKey.FindIndex(head); at != nil {
		after = slices.Concat(config[:at[1]], []byte(entry+", "), config[at[1]:])
	} else {
		if len(config) == 0 {
			config = []byte(newConfig)
		}
		after = append([]byte("imports = ["+entry+"]"+ownLine), config...)
	}
	return after, onlyImportsDiffer(config, after, append([]string{file}, imports...))
}

// removeImport undoes addImport. An empty configuration means that there was none.
func removeImport(config []byte, file string) ([]byte, error) {
	entry := "'" + file + "'"
	line, element := []byte("imports = ["+entry+"]"+ownLine), []byte(entry+", ")
	switch {
	case bytes.HasPrefix(config, line):
		config = config[len(line):]
		if string(config) == newConfig {
			config = nil
		}
	case bytes.Contains(config, element):
		config = bytes.Replace(config, element, nil, 1)
	}
	_, err := decode(config)
	return config, err
}

func decode(config []byte) (map[string]any, error) {
	tree := map[string]any{}
	if err := toml.Unmarshal(config, &tree); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	return tree, nil
}

func importsOf(tree map[string]any) []string {
	var imports []string
	list, _ := tree["imports"].([]any)
	for _, i := range list {
		if s, ok := i.(string); ok {
			imports = append(imports, s)
		}
	}
	return imports
}

// matches tells whether containerd would read the file for an entry of the imports of a configuration in dir.
func matches(dir, pattern, file string) bool {
	pattern = filepath.Clean(pattern)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(dir, pattern)
	}
	ok, err := filepath.Match(pattern, file)
	return ok && err == nil
}

// onlyImportsDiffer makes sure of an edit before it gets to the node.
func onlyImportsDiffer(before, after []byte, imports []string) error {
	was, err := decode(before)
	if err != nil {
		return err
	}
	is, err := decode(after)
	if err != nil || !slices.Equal(importsOf(is), imports) {
		return errors.Join(errors.New("its form is not understood: add the file by hand"), err)
	}
	delete(was, "imports")
	delete(is, "imports")
	if !reflect.DeepEqual(was, is) {
		return errors.New("its form is not understood: add the file by hand")
	}
	return nil
}

// versionOf a configuration, of those that handlers are written for. Older ones may import newer ones.
func versionOf(config []byte) int {
	tree, err := decode(config)
	if version, _ := tree["version"].(int64); err == nil && version >= 3 {
		return 3
	}
	return 2
}
