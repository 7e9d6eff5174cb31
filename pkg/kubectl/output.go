package kubectl

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// output is the form that a person or a program wants.
type output string

const (
	forPeople output = ""
	asName    output = "name"
	asJSON    output = "json"
	asYAML    output = "yaml"
)

func (o *output) addFlag(f *pflag.FlagSet) {
	f.VarP(o, "output", "o", "Output for programs: json, yaml or name.")
}

// String implements pflag.Value.
func (o *output) String() string { return string(*o) }

// Type implements pflag.Value.
func (o *output) Type() string { return "format" }

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	switch output(s) {
	case asName, asJSON, asYAML:
		*o = output(s)
		return nil
	default:
		return fmt.Errorf("is %q, must be json, yaml or name", s)
	}
}

// complete a Migration that was read, as kubectl shows it: with its kind, and without who set which field.
func complete(m *v1alpha1.Migration) *v1alpha1.Migration {
	m.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Migration"))
	m.ManagedFields = nil
	return m
}

// structured writes v as JSON or YAML.
func (t *tool) structured(o output, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil && o == asYAML {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", o, err)
	}
	t.say("%s", text)
	return nil
}

// say writes a line.
func (t *tool) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format+"\n", args...)
}
