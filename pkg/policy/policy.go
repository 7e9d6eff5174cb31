package policy

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// Policy is a checked policy.
type Policy struct {
	// Descheduler is a DeschedulerPolicy in YAML, as the user wrote it.
	Descheduler string
	// migration is the MigrationPolicy as the user wrote it, kept to write it down again.
	migration string
	// Migration is the MigrationPolicy with defaults.
	Migration v1alpha1.MigrationPolicy
	// Version of the ConfigMap that it came from.
	Version string
}

// Check finds what is wrong with a DeschedulerPolicy.
type Check func(*Document) Problems

// Parse makes a Policy of a ConfigMap. The error is of type Problems and tells everything that is wrong.
func Parse(cm *corev1.ConfigMap, check Check) (*Policy, error) {
	p := &Policy{
		Descheduler: cm.Data[v1alpha1.PolicyKeyDescheduler],
		migration:   cm.Data[v1alpha1.PolicyKeyMigration],
		Migration:   DefaultMigration(),
		Version:     cm.ResourceVersion,
	}
	problems := unknownKeys(cm)
	problems = append(problems, checkDescheduler(cm, check)...)
	if text, ok := cm.Data[v1alpha1.PolicyKeyMigration]; ok {
		var found Problems
		p.Migration, found = decodeMigration(text)
		problems = append(problems, found...)
	}
	return p, problems.orNil()
}

func unknownKeys(cm *corev1.ConfigMap) (problems Problems) {
	keys := slices.Concat(slices.Collect(maps.Keys(cm.Data)), slices.Collect(maps.Keys(cm.BinaryData)))
	slices.Sort(keys)
	for _, key := range keys {
		if key != v1alpha1.PolicyKeyDescheduler && key != v1alpha1.PolicyKeyMigration {
			problems = append(problems, Problem{Key: key, Message: fmt.Sprintf(
				"unknown key; the policy has the keys %s and %s", v1alpha1.PolicyKeyDescheduler, v1alpha1.PolicyKeyMigration)})
		}
	}
	return problems
}

func checkDescheduler(cm *corev1.ConfigMap, check Check) Problems {
	text, ok := cm.Data[v1alpha1.PolicyKeyDescheduler]
	if !ok {
		return Problems{{Key: v1alpha1.PolicyKeyDescheduler, Message: "is missing; it holds the DeschedulerPolicy"}}
	}
	doc, problems := Read(v1alpha1.PolicyKeyDescheduler, text)
	if len(problems) > 0 {
		return problems
	}
	return check(doc)
}
