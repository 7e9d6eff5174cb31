package migrate

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// podChecks are made on what the API server knows, gateChecks on what the gate sees. The first that refuses is reported.
var (
	podChecks = []check{
		isNamed, isMigratable, isPrepared, isRunning, isNotTarget, hasKnownOwner, fitsStrategy, isElsewhere, canSchedule,
		hasPortableVolumes, usesNoHost, isAlone,
	}
	gateChecks = []check{hasOpenGate, hasExactSession, hasConsumer}
)

func isNamed(c *candidate) (reason, message string) {
	if uid := c.m.Spec.Pod.UID; uid != "" && uid != c.pod.UID {
		return "PodReplaced", fmt.Sprintf("pod %s has UID %s by now, not %s: it was replaced since the migration was asked for", c.pod.Name, c.pod.UID, uid)
	}
	return "", ""
}

func isMigratable(c *candidate) (reason, message string) {
	if c.pod.Labels[v1alpha1.LabelMigratable] != "true" {
		return "NotMigratable", fmt.Sprintf("pod %s has no label %s=true: put it on the pod template, the pod is prepared when it is created", c.pod.Name, v1alpha1.LabelMigratable)
	}
	return "", ""
}

func isPrepared(c *candidate) (reason, message string) {
	class := c.pod.Spec.RuntimeClassName
	gated := slices.ContainsFunc(c.pod.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == v1alpha1.GateContainer })
	if class == nil || *class != v1alpha1.RuntimeClass || !gated {
		return "NotPrepared", fmt.Sprintf("pod %s was created before it had the label %s=true or while the webhook was away, so it has no gate: create it again", c.pod.Name, v1alpha1.LabelMigratable)
	}
	return "", ""
}

func isRunning(c *candidate) (reason, message string) {
	if c.pod.DeletionTimestamp != nil {
		return "PodTerminating", fmt.Sprintf("pod %s is being deleted", c.pod.Name)
	}
	for _, s := range c.pod.Status.ContainerStatuses {
		if s.State.Running == nil {
			return "PodNotRunning", fmt.Sprintf("container %s of pod %s is not running: there is no state to migrate", s.Name, c.pod.Name)
		}
	}
	if c.pod.Status.Phase != corev1.PodRunning {
		return "PodNotRunning", fmt.Sprintf("pod %s is %s, not Running", c.pod.Name, c.pod.Status.Phase)
	}
	return "", ""
}

// isNotTarget refuses the target of a migration that has not ended.
func isNotTarget(c *candidate) (reason, message string) {
	for _, o := range c.others {
		if o.UID != c.m.UID && !o.Status.Phase.Ended() && o.Status.Target.UID == c.pod.UID {
			return "PodIsTarget", fmt.Sprintf("pod %s is the target of migration %s: wait for its end", c.pod.Name, o.Name)
		}
	}
	return "", ""
}

func hasKnownOwner(c *candidate) (reason, message string) {
	owner := metav1.GetControllerOf(c.pod)
	if owner != nil && replicaSetOf(c.pod) == nil && statefulSetOf(c.pod) == nil {
		return "OwnerNotSupported", fmt.Sprintf("pod %s belongs to %s %s: bare pods and pods of Deployments and StatefulSets can be migrated", c.pod.Name, owner.Kind, owner.Name)
	}
	if _, hashed := c.pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; replicaSetOf(c.pod) != nil && !hashed {
		// Its set would adopt the target at its creation, be one over, and delete the unready of the two.
		return "OwnerNotSupported", fmt.Sprintf("pod %s belongs to ReplicaSet %s without a Deployment: let a Deployment own the set", c.pod.Name, owner.Name)
	}
	return "", ""
}

func fitsStrategy(c *candidate) (reason, message string) {
	want, has := c.m.Spec.Strategy, strategyFor(c.pod)
	if want != "" && want != v1alpha1.StrategyAuto && want != has {
		return "StrategyDoesNotFit", fmt.Sprintf("pod %s cannot be migrated with strategy %s: its owner needs %s; leave the strategy out", c.pod.Name, want, has)
	}
	return "", ""
}

func isElsewhere(c *candidate) (reason, message string) {
	if c.m.Spec.TargetNode == c.pod.Spec.NodeName {
		return "AlreadyOnNode", fmt.Sprintf("pod %s is on node %s already", c.pod.Name, c.pod.Spec.NodeName)
	}
	return "", ""
}

func canSchedule(c *candidate) (reason, message string) {
	if c.target != nil && c.target.Spec.Unschedulable {
		return "NodeUnschedulable", fmt.Sprintf("node %s is cordoned: choose another, or uncordon it", c.target.Name)
	}
	return "", ""
}

// hasPortableVolumes lets volumes pass whose content the target's kubelet makes anew, equal to the source's.
func hasPortableVolumes(c *candidate) (reason, message string) {
	for _, v := range c.pod.Spec.Volumes {
		s := v.VolumeSource
		if s.ConfigMap == nil && s.Secret == nil && s.Projected == nil && s.DownwardAPI == nil {
			return "VolumeNotSupported", fmt.Sprintf("volume %s of pod %s is not a ConfigMap, Secret, projected or downward API volume: its content would not move", v.Name, c.pod.Name)
		}
	}
	return "", ""
}

func usesNoHost(c *candidate) (reason, message string) {
	spec := c.pod.Spec
	if spec.HostNetwork || spec.HostPID || spec.HostIPC {
		return "HostNamespace", fmt.Sprintf("pod %s uses a namespace of its host, which cannot be restored elsewhere", c.pod.Name)
	}
	for _, container := range spec.Containers {
		if len(container.VolumeDevices) > 0 {
			return "Device", fmt.Sprintf("container %s of pod %s uses a device, which CRIU cannot restore", container.Name, c.pod.Name)
		}
	}
	return "", ""
}

// isAlone lets one migration of a pod go on at a time.
func isAlone(c *candidate) (reason, message string) {
	for _, o := range c.others {
		if o.UID != c.m.UID && !o.Status.Phase.Ended() && o.Status.Source.UID == c.pod.UID {
			return "AlreadyMigrating", fmt.Sprintf("migration %s moves pod %s already", o.Name, c.pod.Name)
		}
	}
	return "", ""
}

func hasOpenGate(c *candidate) (reason, message string) {
	if c.gate.Mode != control.ModeOpen {
		return "GateNotOpen", fmt.Sprintf("the gate of pod %s is in mode %s: another migration has not been finished", c.pod.Name, c.gate.Mode)
	}
	return "", ""
}

func hasConsumer(c *candidate) (reason, message string) {
	if c.gate.Consumers > 0 {
		return "", ""
	}
	if c.gate.Trouble != "" {
		return "NoConsumer", fmt.Sprintf("the app of pod %s consumes from no queue, since its gate has no connection: %s", c.pod.Name, c.gate.Trouble)
	}
	return "NoConsumer", fmt.Sprintf("the app of pod %s consumes from no queue through its gate: is its broker's port in the annotation %s, and does it speak plain AMQP?", c.pod.Name, v1alpha1.AnnotationBrokerPorts)
}

func hasExactSession(c *candidate) (reason, message string) {
	if len(c.gate.Refusals) > 0 {
		return "SessionNotSupported", "the app's use of AMQP cannot be migrated exactly: " + strings.Join(c.gate.Refusals, "; ")
	}
	return "", ""
}
