package kubectl

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/plugin"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/migratefromdrainednodes"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/migrateunderload"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

func (t *tool) policy() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Work on policies"}
	cmd.AddCommand(&cobra.Command{
		Use:   "validate FILE",
		Short: "Check a policy as the controller does, before it is applied",
		Long: `Check a policy as the controller does, before it is applied. FILE holds the ConfigMap, a DeschedulerPolicy or a
MigrationPolicy; - is the standard input. No cluster is needed, except for policies that name a PriorityClass.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := read(args[0])
			if err != nil {
				return err
			}
			if err := t.validate(args[0], text); err != nil {
				return err
			}
			t.say("%s: the policy is valid", args[0])
			return nil
		},
	})
	return cmd
}

func read(file string) (string, error) {
	if file == "-" {
		file = "/dev/stdin"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	return string(text), nil
}

// validate returns every problem, each with the file that it is in.
func (t *tool) validate(file, text string) error {
	cm, err := configMapOf(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	check, err := t.check()
	if err != nil {
		return err
	}
	_, err = policy.Parse(cm, check)
	var problems policy.Problems
	if !errors.As(err, &problems) {
		return err
	}
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = file + ": " + p.Error()
	}
	return errors.New(strings.Join(lines, "\n"))
}

// nothing is what a MigrationPolicy alone is checked with.
const nothing = "apiVersion: descheduler/v1alpha2\nkind: DeschedulerPolicy\nprofiles: []\n"

// configMapOf makes the ConfigMap of what a file may hold.
func configMapOf(text string) (*corev1.ConfigMap, error) {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(text), &head); err != nil {
		return nil, fmt.Errorf("is not YAML: %w", err)
	}
	cm := &corev1.ConfigMap{}
	switch head.Kind {
	case "ConfigMap":
		if err := yaml.UnmarshalStrict([]byte(text), cm); err != nil {
			return nil, fmt.Errorf("is not a ConfigMap: %w", err)
		}
	case "DeschedulerPolicy":
		cm.Data = map[string]string{v1alpha1.PolicyKeyDescheduler: text}
	case v1alpha1.MigrationPolicyKind:
		cm.Data = map[string]string{v1alpha1.PolicyKeyDescheduler: nothing, v1alpha1.PolicyKeyMigration: text}
	default:
		return nil, fmt.Errorf("has kind %q, must be ConfigMap, DeschedulerPolicy or MigrationPolicy", head.Kind)
	}
	return cm, nil
}

// check of DeschedulerPolicies with all plugins. The cluster is asked only for what a policy refers to in it.
func (t *tool) check() (policy.Check, error) {
	config, err := t.config.ClientConfig()
	if err != nil {
		config = &rest.Config{Host: "no-cluster.invalid"} // whatever asks it fails, with a name that says why
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client of the API server: %w", err)
	}
	index := moves.NewIndex()
	plugin.Register(index, migratefromdrainednodes.Register(index, nil), migrateunderload.Register(index, nil))
	return plugin.Check(client), nil
}
