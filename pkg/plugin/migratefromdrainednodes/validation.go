package migratefromdrainednodes

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
)

// ValidateMigrateFromDrainedNodesArgs validates arguments before they are defaulted.
func ValidateMigrateFromDrainedNodesArgs(obj runtime.Object) error {
	args := obj.(*MigrateFromDrainedNodesArgs)
	var problems []error
	if args.Namespaces != nil && len(args.Namespaces.Include) > 0 && len(args.Namespaces.Exclude) > 0 {
		problems = append(problems, errors.New("namespaces: only one of include and exclude can be set"))
	}
	if args.LabelSelector != nil {
		if _, err := metav1.LabelSelectorAsSelector(args.LabelSelector); err != nil {
			problems = append(problems, fmt.Errorf("labelSelector: %w", err))
		}
	}
	if args.Cordoned != nil && !*args.Cordoned && args.Taints != nil && len(args.Taints) == 0 {
		problems = append(problems, errors.New("cordoned is false and taints is empty: no node would ever be drained"))
	}
	for i, t := range args.Taints {
		key, value, _ := strings.Cut(t, "=")
		for _, message := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
			problems = append(problems, fmt.Errorf("taints[%d]: %q is no key or key=value of a taint: %s", i, t, message))
		}
	}
	return errors.Join(problems...)
}
