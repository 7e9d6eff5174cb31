package policy

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// minInterval keeps the descheduler from listing the cluster without a pause.
const minInterval = time.Second

// DefaultMigration is the policy of a ConfigMap that has no MigrationPolicy.
func DefaultMigration() v1alpha1.MigrationPolicy {
	return v1alpha1.MigrationPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.MigrationPolicyKind},
		Strategy: v1alpha1.StrategyAuto,
		Cutoff: v1alpha1.Cutoff{
			MaxReplay: metav1.Duration{Duration: 10 * time.Second},
			Deadline:  metav1.Duration{Duration: 2 * time.Minute},
		},
		MaxPause: metav1.Duration{Duration: time.Second},
		Cooldown: metav1.Duration{Duration: 5 * time.Minute},
		Interval: metav1.Duration{Duration: time.Minute},
	}
}

func decodeMigration(text string) (v1alpha1.MigrationPolicy, Problems) {
	p := DefaultMigration()
	doc, problems := Read(v1alpha1.PolicyKeyMigration, text)
	if len(problems) > 0 {
		return p, problems
	}
	p.TypeMeta = metav1.TypeMeta{}
	if problems := doc.Decode(&p); len(problems) > 0 {
		return p, problems
	}
	return p, validateMigration(doc, p)
}

func validateMigration(doc *Document, p v1alpha1.MigrationPolicy) (problems Problems) {
	refuse := func(path, format string, args ...any) {
		problems = append(problems, doc.Problem(path, format, args...))
	}

	if want := v1alpha1.GroupVersion.String(); p.APIVersion != want {
		refuse("apiVersion", "is %q, must be %q", p.APIVersion, want)
	}
	if p.Kind != v1alpha1.MigrationPolicyKind {
		refuse("kind", "is %q, must be %q", p.Kind, v1alpha1.MigrationPolicyKind)
	}
	known := []v1alpha1.Strategy{v1alpha1.StrategyAuto, v1alpha1.StrategyShadow, v1alpha1.StrategyIdentitySwap}
	if !slices.Contains(known, p.Strategy) {
		refuse("strategy", "is %q, must be one of %v", p.Strategy, known)
	}
	for _, d := range []struct {
		path  string
		value time.Duration
	}{
		{"cutoff.maxReplay", p.Cutoff.MaxReplay.Duration},
		{"cutoff.deadline", p.Cutoff.Deadline.Duration},
		{"maxPause", p.MaxPause.Duration},
		{"cooldown", p.Cooldown.Duration},
		{"interval", p.Interval.Duration},
	} {
		if d.value <= 0 {
			refuse(d.path, "is %s, must be positive", d.value)
		}
	}
	if p.Interval.Duration > 0 && p.Interval.Duration < minInterval {
		refuse("interval", "is %s, must be at least %s", p.Interval.Duration, minInterval)
	}
	if p.Cutoff.Deadline.Duration <= p.Cutoff.MaxReplay.Duration {
		refuse("cutoff.deadline", "is %s, must be longer than cutoff.maxReplay, %s", p.Cutoff.Deadline.Duration, p.Cutoff.MaxReplay.Duration)
	}
	return problems
}
