package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/descheduler/pkg/api"
	"sigs.k8s.io/descheduler/pkg/api/v1alpha2"
	"sigs.k8s.io/descheduler/pkg/descheduler"
	"sigs.k8s.io/descheduler/pkg/framework/pluginregistry"
	"sigs.k8s.io/descheduler/pkg/framework/plugins/defaultevictor"
	frameworktypes "sigs.k8s.io/descheduler/pkg/framework/types"

	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

// Check returns the check of DeschedulerPolicy documents. It refuses all that the descheduler refuses, and what the
// descheduler overlooks: misspelt fields outside of plugin arguments, and plugins that it finds missing only when it
// runs. Register comes first.
func Check(client kubernetes.Interface) policy.Check {
	return func(doc *policy.Document) policy.Problems {
		var p v1alpha2.DeschedulerPolicy
		if problems := doc.Decode(&p); len(problems) > 0 {
			return problems
		}
		var problems policy.Problems
		if want := v1alpha2.SchemeGroupVersion.String(); p.APIVersion != want {
			problems = append(problems, doc.Problem("apiVersion", "is %q, must be %q", p.APIVersion, want))
		}
		if p.Kind != "DeschedulerPolicy" {
			problems = append(problems, doc.Problem("kind", "is %q, must be %q", p.Kind, "DeschedulerPolicy"))
		}
		for i := range p.Profiles {
			problems = append(problems, checkProfile(doc, fmt.Sprintf("profiles[%d]", i), &p.Profiles[i])...)
		}
		if len(problems) > 0 {
			return problems
		}
		if _, err := load(string(doc.JSON()), client); err != nil {
			return policy.Problems{doc.Problem("", "%v", err)}
		}
		return nil
	}
}

func checkProfile(doc *policy.Document, path string, profile *v1alpha2.DeschedulerProfile) (problems policy.Problems) {
	configured := map[string]bool{defaultevictor.PluginName: true}
	for i, config := range profile.PluginConfigs {
		configured[config.Name] = true
		problems = append(problems, checkArgs(doc, fmt.Sprintf("%s.pluginConfig[%d]", path, i), config)...)
	}
	for _, point := range []struct {
		name    string
		enabled []string
		has     func(any) bool
	}{
		{"deschedule", profile.Plugins.Deschedule.Enabled, is[frameworktypes.DeschedulePlugin]},
		{"balance", profile.Plugins.Balance.Enabled, is[frameworktypes.BalancePlugin]},
		{"filter", profile.Plugins.Filter.Enabled, is[frameworktypes.EvictorPlugin]},
		{"preevictionfilter", profile.Plugins.PreEvictionFilter.Enabled, is[frameworktypes.EvictorPlugin]},
	} {
		for i, name := range point.enabled {
			at := fmt.Sprintf("%s.plugins.%s.enabled[%d]", path, point.name, i)
			switch plugin, known := pluginregistry.PluginRegistry[name]; {
			case !known:
				problems = append(problems, doc.Problem(at, "there is no plugin %q; there are %v", name, pluginNames()))
			case !point.has(plugin.PluginType):
				problems = append(problems, doc.Problem(at, "plugin %q does not work at %s", name, point.name))
			case !configured[name]:
				problems = append(problems, doc.Problem(at, "plugin %q needs an entry in pluginConfig", name))
			}
		}
	}
	return problems
}

func is[T any](plugin any) bool {
	_, ok := plugin.(T)
	return ok
}

func checkArgs(doc *policy.Document, path string, config v1alpha2.PluginConfig) policy.Problems {
	plugin, known := pluginregistry.PluginRegistry[config.Name]
	if !known {
		return policy.Problems{doc.Problem(path+".name", "there is no plugin %q; there are %v", config.Name, pluginNames())}
	}
	args := plugin.PluginArgInstance.DeepCopyObject()
	if len(config.Args.Raw) > 0 && !isNull(config.Args.Raw) {
		if problems := doc.DecodePart(path+".args", config.Args.Raw, args); len(problems) > 0 {
			return problems
		}
	}
	if plugin.PluginArgValidator != nil {
		if err := plugin.PluginArgValidator(args); err != nil {
			return policy.Problems{doc.Problem(path+".args", "%v", err)}
		}
	}
	return nil
}

func isNull(raw []byte) bool {
	var v any
	return json.Unmarshal(raw, &v) == nil && v == nil
}

func pluginNames() []string { return slices.Sorted(maps.Keys(pluginregistry.PluginRegistry)) }

// load lets the descheduler decode, validate and default a policy. It only reads files.
func load(text string, client kubernetes.Interface) (*api.DeschedulerPolicy, error) {
	file, err := os.CreateTemp("", "descheduler-policy-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("creating a file for the policy: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(text)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, fmt.Errorf("writing the policy to a file: %w", err)
	}
	p, err := descheduler.LoadPolicyConfig(file.Name(), client, pluginregistry.PluginRegistry)
	if err != nil {
		return nil, fmt.Errorf("loading the descheduler's policy: %w", err)
	}
	return p, nil
}
