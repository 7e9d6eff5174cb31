package migrate

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// annotationBaseName keeps the name that a chain of migrations started from, so that names do not grow.
const annotationBaseName = "ms2m.dev/base-name"

// sourceAnnotations concern the source alone: that the descheduler has asked for its move.
var sourceAnnotations = []string{
	"descheduler.alpha.kubernetes.io/request-evict-only", "descheduler.alpha.kubernetes.io/eviction-in-progress",
}

// apiAccessVolume is the prefix of the volume that the API server's admission adds to every pod, and would add again.
const apiAccessVolume = "kube-api-access-"

// nameField is the only field that node affinity can match, and where an app's variables find the pod's name.
const nameField = "metadata.name"

// targetPod is the source's own spec, to be scheduled to the chosen node, without what binds it to its owner: with the
// hash of its template the ReplicaSet would adopt it now, count one too many and delete the unready of the two.
func targetPod(m *v1alpha1.Migration, src *corev1.Pod) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   src.Namespace,
			Name:        targetName(m, baseName(src)),
			Labels:      maps.Clone(src.Labels),
			Annotations: maps.Clone(src.Annotations),
		},
		Spec: *src.Spec.DeepCopy(),
	}
	delete(pod.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	pod.Labels[v1alpha1.LabelMigration] = string(m.UID)
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	for _, a := range sourceAnnotations {
		delete(pod.Annotations, a)
	}
	setOrDelete(pod.Annotations, corev1.PodDeletionCost, m.Status.Source.DeletionCost)
	pod.Annotations[annotationBaseName] = baseName(src)
	pod.Annotations[v1alpha1.AnnotationRestore] = strings.Join(m.Status.Containers, ",")

	if m.Status.Origin != nil {
		assumeName(&pod.Spec, src.Name)
	}
	pod.Spec.NodeName = ""
	pod.Spec.EphemeralContainers = nil
	dropAPIAccess(&pod.Spec)
	placeOn(&pod.Spec, m.Spec.TargetNode, src.Spec.NodeName)
	return pod
}

// assumeName gives the app of a stand-in the name of the pod that it stands in for, should it have to start anew.
func assumeName(spec *corev1.PodSpec, name string) {
	for _, c := range spec.Containers {
		for i, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == nameField {
				c.Env[i] = corev1.EnvVar{Name: e.Name, Value: name}
			}
		}
	}
}

// baseName is the name without the suffixes of earlier migrations.
func baseName(src *corev1.Pod) string {
	if base := src.Annotations[annotationBaseName]; base != "" {
		return base
	}
	return src.Name
}

// targetName is the base name with a suffix of the migration's UID, cut to what a pod's hostname may be long.
func targetName(m *v1alpha1.Migration, base string) string {
	suffix := "-m" + strings.ReplaceAll(string(m.UID), "-", "")[:8]
	if room := validation.DNS1123LabelMaxLength - len(suffix); len(base) > room {
		base = strings.TrimRight(base[:room], "-.")
	}
	return base + suffix
}

func dropAPIAccess(spec *corev1.PodSpec) {
	isAccess := func(name string) bool { return strings.HasPrefix(name, apiAccessVolume) }
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return isAccess(v.Name) })
	drop := func(cs []corev1.Container) {
		for i := range cs {
			cs[i].VolumeMounts = slices.DeleteFunc(cs[i].VolumeMounts, func(m corev1.VolumeMount) bool { return isAccess(m.Name) })
		}
	}
	drop(spec.InitContainers)
	drop(spec.Containers)
}

// placeOn requires the target node, or any but the source's. The requirement is put into each of the pod's own terms,
// since terms are alternatives, and replaces that of an earlier migration.
func placeOn(spec *corev1.PodSpec, target, source string) {
	want := corev1.NodeSelectorRequirement{Key: nameField, Operator: corev1.NodeSelectorOpNotIn, Values: []string{source}}
	if target != "" {
		want.Operator, want.Values = corev1.NodeSelectorOpIn, []string{target}
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	na := spec.Affinity.NodeAffinity
	if na.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		na.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{}
	}
	required := na.RequiredDuringSchedulingIgnoredDuringExecution
	if len(required.NodeSelectorTerms) == 0 {
		required.NodeSelectorTerms = []corev1.NodeSelectorTerm{{}}
	}
	for i := range required.NodeSelectorTerms {
		t := &required.NodeSelectorTerms[i]
		t.MatchFields = slices.DeleteFunc(t.MatchFields, func(q corev1.NodeSelectorRequirement) bool { return q.Key == nameField })
		t.MatchFields = append(t.MatchFields, want)
	}
}

// replicaSetOf returns the controller of a pod when it is a ReplicaSet.
func replicaSetOf(pod *corev1.Pod) *metav1.OwnerReference { return ownerOf(pod, "ReplicaSet") }

// statefulSetOf returns the controller of a pod when it is a StatefulSet.
func statefulSetOf(pod *corev1.Pod) *metav1.OwnerReference { return ownerOf(pod, "StatefulSet") }

func ownerOf(pod *corev1.Pod, kind string) *metav1.OwnerReference {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != kind || !strings.HasPrefix(owner.APIVersion, appsv1.GroupName+"/") {
		return nil
	}
	return owner
}

// ended tells whether the pod's containers have ended for good, as those of a pod that its node has evicted.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// confirmed tells whether the kubelet has confirmed that nothing runs any more of a deleted pod, which only a finalizer
// keeps.
func confirmed(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
}

func podCondition(pod *corev1.Pod, t corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
