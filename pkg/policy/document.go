package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Document is one YAML document of a policy that remembers the lines of its fields.
type Document struct {
	key  string
	root *yamlv3.Node
	json []byte
}

var (
	yamlLine     = regexp.MustCompile(`line (\d+): (.*)`)
	unknownField = regexp.MustCompile(`^(unknown|duplicate) field "(.*)"$`)
)

// Read parses the document under key. What is not one well-formed YAML mapping without double keys is a problem.
func Read(key, text string) (*Document, Problems) {
	decoder := yamlv3.NewDecoder(strings.NewReader(text))
	var root, more yamlv3.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, Problems{{Key: key, Message: "is empty"}}
	} else if err != nil {
		return nil, Problems{yamlProblem(key, err)}
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, Problems{{Key: key, Line: more.Line, Message: "holds more than one document; put each into a key of its own"}}
	}
	if root.Content[0].Kind != yamlv3.MappingNode {
		return nil, Problems{{Key: key, Line: root.Content[0].Line, Message: "is not a mapping of fields"}}
	}
	asJSON, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, Problems{yamlProblem(key, err)}
	}
	return &Document{key: key, root: root.Content[0], json: asJSON}, nil
}

func yamlProblem(key string, err error) Problem {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return Problem{Key: key, Message: err.Error()}
	}
	line, _ := strconv.Atoi(m[1])
	return Problem{Key: key, Line: line, Message: m[2]}
}

// Decode fills into, whose fields keep their values where the document is silent. Unknown fields are problems.
func (d *Document) Decode(into any) Problems { return d.DecodePart("", d.json, into) }

// DecodePart decodes raw, the JSON of the part of the document that lies at path.
func (d *Document) DecodePart(path string, raw []byte, into any) Problems {
	unknown, err := kjson.UnmarshalStrict(raw, into)
	if err != nil {
		return Problems{d.Problem(join(path, culprit(raw, into)), "%s", explain(err))}
	}
	var problems Problems
	for _, u := range unknown {
		if m := unknownField.FindStringSubmatch(u.Error()); m != nil {
			problems = append(problems, d.Problem(join(path, m[2]), "%s field", m[1]))
		} else {
			problems = append(problems, d.Problem(path, "%v", u))
		}
	}
	return problems
}

// Problem at the field path, with its line; with the document as a whole when path is empty.
func (d *Document) Problem(path, format string, args ...any) Problem {
	p := Problem{Key: d.key, Field: path, Message: fmt.Sprintf(format, args...)}
	if path != "" {
		p.Line = line(d.root, path)
	}
	return p
}

func explain(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("is a %s where a %s belongs", wrong.Value, wrong.Type.Kind())
	}
	return err.Error()
}

func join(path, field string) string {
	if path == "" || field == "" || field[0] == '[' {
		return path + field
	}
	return path + "." + field
}

// culprit finds the field for which decoding raw fails. Errors of custom decoders, as of durations, do not name it, so
// each field is tried alone.
func culprit(raw []byte, into any) string {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return ""
	}
	kind := reflect.TypeOf(into).Elem()
	return failing(value, func(v any) bool {
		alone, err := json.Marshal(v)
		return err == nil && kjson.UnmarshalCaseSensitivePreserveInts(alone, reflect.New(kind).Interface()) != nil
	})
}

func failing(value any, fails func(any) bool) string {
	switch v := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			alone := func(x any) bool { return fails(map[string]any{k: x}) }
			if alone(v[k]) {
				return join(k, failing(v[k], alone))
			}
		}
	case []any:
		for i := range v {
			alone := func(x any) bool { return fails([]any{x}) }
			if alone(v[i]) {
				return join(fmt.Sprintf("[%d]", i), failing(v[i], alone))
			}
		}
	}
	return ""
}

// line of the node at path; where the path ends outside the document, the line of the last node on the way.
func line(n *yamlv3.Node, path string) int {
	at := n.Line
	for n != nil && path != "" {
		n, at, path = child(n, at, path)
	}
	return at
}

func child(n *yamlv3.Node, at int, path string) (*yamlv3.Node, int, string) {
	if n.Kind == yamlv3.AliasNode {
		n = n.Alias
	}
	if index, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]"); n.Kind == yamlv3.SequenceNode && ok {
		if i, err := strconv.Atoi(index); err == nil && i < len(n.Content) {
			return n.Content[i], n.Content[i].Line, strings.TrimPrefix(rest, ".")
		}
	}
	if n.Kind != yamlv3.MappingNode {
		return nil, at, ""
	}
	// Keys may hold dots, as names of resources do, so the longest key that fits is the one meant.
	best := -1
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i].Value; startsWith(path, k) && (best < 0 || len(k) > len(n.Content[best].Value)) {
			best = i
		}
	}
	if best < 0 {
		return nil, at, ""
	}
	rest := strings.TrimPrefix(path[len(n.Content[best].Value):], ".")
	return n.Content[best+1], n.Content[best].Line, rest
}

func startsWith(path, key string) bool {
	rest, ok := strings.CutPrefix(path, key)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// JSON of the whole document.
func (d *Document) JSON() []byte { return bytes.Clone(d.json) }
