package kubectl

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// tool is what all commands share.
type tool struct {
	out io.Writer
	// config finds the cluster and the namespace, as kubectl does.
	config clientcmd.ClientConfig
}

// New is the command kubectl ms2m, which writes to out.
func New(out io.Writer) *cobra.Command {
	rules, overrides := clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}
	t := &tool{out: out, config: clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)}
	cmd := &cobra.Command{
		Use:           "kubectl-ms2m",
		Short:         "Migrate stateful pods live",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl ms2m"},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetOut(out)
	cmd.PersistentFlags().StringVar(&rules.ExplicitPath, "kubeconfig", "", "File with the cluster and the credentials; default as kubectl's.")
	clientcmd.BindOverrideFlags(overrides, cmd.PersistentFlags(), clientcmd.ConfigOverrideFlags{
		ContextOverrideFlags: clientcmd.ContextOverrideFlags{
			Namespace: clientcmd.FlagInfo{LongName: clientcmd.FlagNamespace, ShortName: "n", Description: "Namespace of the pod."},
		},
		CurrentContext: clientcmd.FlagInfo{LongName: clientcmd.FlagContext, Description: "Context of the kubeconfig."},
	})
	cmd.AddCommand(t.migrate(), t.status(), t.policy())
	return cmd
}

// cluster is the client of the API server, and the namespace that commands work in.
func (t *tool) cluster() (client.WithWatch, string, error) {
	config, err := t.rest()
	if err != nil {
		return nil, "", err
	}
	namespace, _, err := t.config.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("finding the namespace: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, "", fmt.Errorf("registering types: %w", err)
		}
	}
	api, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("making the client of the API server: %w", err)
	}
	return api, namespace, nil
}

func (t *tool) rest() (*rest.Config, error) {
	config, err := t.config.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster (is there a kubeconfig?): %w", err)
	}
	return config, nil
}
