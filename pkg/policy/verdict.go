package policy

import (
	corev1 "k8s.io/api/core/v1"
)

// State of the policy ConfigMap.
type State string

// States.
const (
	// Accepted: the ConfigMap's version is in force.
	Accepted State = "Accepted"
	// Refused: it is not; the last good version, if there is one, stays in force.
	Refused State = "Refused"
	// Missing: there is no ConfigMap, so the descheduler idles.
	Missing State = "Missing"
)

// Verdict on one version of the policy ConfigMap.
type Verdict struct {
	State   State
	Message string
	// Problems of a refused version.
	Problems Problems
	// Observed is the resource version judged; empty when the ConfigMap is missing.
	Observed string
	// InForce is the policy that follows from the verdict; nil: the descheduler idles.
	InForce *Policy
}

// judge decides what follows from the ConfigMap, nil when there is none, while last is in force, nil for none.
func judge(cm *corev1.ConfigMap, last *Policy, check Check) Verdict {
	if cm == nil {
		return Verdict{State: Missing, Message: "there is no policy ConfigMap: the descheduler idles until one is created"}
	}
	p, err := Parse(cm, check)
	if err == nil {
		return Verdict{State: Accepted, Message: "in force", Observed: cm.ResourceVersion, InForce: p}
	}
	v := Verdict{State: Refused, Message: err.Error(), Observed: cm.ResourceVersion, InForce: last}
	v.Problems, _ = err.(Problems) //nolint:errorlint // Parse documents the type
	return v
}
