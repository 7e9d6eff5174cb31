package webhook

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// Environment of the gate.
const (
	envBrokerURI = "MS2M_BROKER_URI"
	envStart     = "MS2M_START"
	startOpen    = "open"
	startClosed  = "closed"
)

// brokerSecretKey holds the AMQP URI in the broker's Secret.
const brokerSecretKey = "uri"

// brokerTLSFolder is where the gate finds the files of the annotation's Secret.
const brokerTLSFolder = "/etc/ms2m/broker-tls"

// prepare makes a pod migratable. The spec of a migration's target is the source's own, prepared one, so preparing
// again only brings the gate up to date.
func prepare(pod *corev1.Pod, gateImage string) {
	pod.Spec.RuntimeClassName = ptr.To(v1alpha1.RuntimeClass)
	active := corev1.PodReadinessGate{ConditionType: v1alpha1.ConditionActive}
	if !slices.Contains(pod.Spec.ReadinessGates, active) {
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, active)
	}
	pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, isTLS)
	if secret := pod.Annotations[v1alpha1.AnnotationBrokerTLS]; secret != "" {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: v1alpha1.BrokerTLSVolume, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: secret},
		}})
	}
	others := slices.DeleteFunc(pod.Spec.InitContainers, isGate)
	// The first to start: the app must never connect past the gate.
	pod.Spec.InitContainers = slices.Insert(others, 0, gate(pod, gateImage))
}

func isGate(c corev1.Container) bool { return c.Name == v1alpha1.GateContainer }

func isTLS(v corev1.Volume) bool { return v.Name == v1alpha1.BrokerTLSVolume }

func gate(pod *corev1.Pod, image string) corev1.Container {
	args, mounts := brokerTLS(pod)
	return corev1.Container{
		Name:            v1alpha1.GateContainer,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            append([]string{"serve"}, args...),
		RestartPolicy:   ptr.To(corev1.ContainerRestartPolicyAlways),
		Env: []corev1.EnvVar{
			{Name: envBrokerURI, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: brokerSecret(pod)}, Key: brokerSecretKey,
			}}},
			{Name: envStart, Value: start(pod)},
			downward("POD_NAME", "metadata.name"),
			downward("POD_NAMESPACE", "metadata.namespace"),
			downward("POD_UID", "metadata.uid"),
		},
		// Requests small enough to change no one's placement, and no limits: the app's latency passes through here.
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("10m"),
			corev1.ResourceMemory: resource.MustParse("32Mi"),
		}},
		// Containers after this one start when the gate listens.
		Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{
			Exec: &corev1.ExecAction{Command: []string{"/" + v1alpha1.GateContainer, "wait"}},
		}},
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(v1alpha1.GateMetricsPort)},
		}},
		SecurityContext: &corev1.SecurityContext{
			RunAsUser:                ptr.To[int64](v1alpha1.GateUID),
			RunAsGroup:               ptr.To[int64](v1alpha1.GateUID),
			RunAsNonRoot:             ptr.To(true),
			AllowPrivilegeEscalation: ptr.To(false),
			ReadOnlyRootFilesystem:   ptr.To(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		VolumeMounts: mounts,
	}
}

// brokerTLS is what the gate needs to speak TLS to the broker. The Secret is mounted, so that a renewed certificate
// reaches a gate that runs.
func brokerTLS(pod *corev1.Pod) (args []string, mounts []corev1.VolumeMount) {
	if pod.Annotations[v1alpha1.AnnotationBrokerTLS] == "" {
		return nil, nil
	}
	args = []string{"--tls=" + brokerTLSFolder}
	if port := pod.Annotations[v1alpha1.AnnotationBrokerTLSPort]; port != "" {
		args = append(args, "--tls-port="+port)
	}
	if name := pod.Annotations[v1alpha1.AnnotationBrokerTLSName]; name != "" {
		args = append(args, "--tls-name="+name)
	}
	return args, []corev1.VolumeMount{{Name: v1alpha1.BrokerTLSVolume, MountPath: brokerTLSFolder, ReadOnly: true}}
}

func brokerSecret(pod *corev1.Pod) string {
	if name := pod.Annotations[v1alpha1.AnnotationBrokerSecret]; name != "" {
		return name
	}
	return v1alpha1.BrokerSecretName
}

// start is how the gate begins when it finds no record of its own: a target's stays closed until it is told otherwise.
func start(pod *corev1.Pod) string {
	if _, target := pod.Annotations[v1alpha1.AnnotationRestore]; target {
		return startClosed
	}
	return startOpen
}

func downward(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}
