package webhook

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// refusals are all reasons, in words that tell what to change, for which the pod could never be migrated.
func refusals(pod *corev1.Pod) (reasons []string) {
	refuse := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	spec := &pod.Spec

	if rc := spec.RuntimeClassName; rc != nil && *rc != v1alpha1.RuntimeClass {
		refuse("runtimeClassName is %q: leave it out, it must be %q", *rc, v1alpha1.RuntimeClass)
	}
	for _, host := range []struct {
		field string
		set   bool
	}{{"hostNetwork", spec.HostNetwork}, {"hostPID", spec.HostPID}, {"hostIPC", spec.HostIPC}} {
		if host.set {
			refuse("%s ties the pod to its node: leave it out", host.field)
		}
	}
	if spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace {
		refuse("shareProcessNamespace mixes the containers' processes, and each is checkpointed alone: leave it out")
	}
	if spec.OS != nil && spec.OS.Name != corev1.Linux {
		refuse("os is %q: only linux can be checkpointed", spec.OS.Name)
	}
	if len(spec.ResourceClaims) > 0 {
		refuse("resourceClaims bring devices, whose state no checkpoint holds: leave them out")
	}
	for _, v := range spec.Volumes {
		if v.HostPath != nil {
			refuse("volume %q is a hostPath, which stays on its node: use another kind of volume", v.Name)
		}
	}
	if bad := badBrokerPort(pod); bad != "" {
		refuse("annotation %s is %q: %s is not a port of a broker; write ports separated by commas, as 5672,5673",
			v1alpha1.AnnotationBrokerPorts, pod.Annotations[v1alpha1.AnnotationBrokerPorts], bad)
	}
	reasons = append(reasons, tlsRefusals(pod)...)
	for _, c := range spec.InitContainers {
		if isGate(c) {
			if !isOurs(c) {
				refuse("init container %q is not the gate: the name is reserved, give it another", c.Name)
			}
			continue
		}
		reasons = append(reasons, containerRefusals(spec, c)...)
	}
	for _, c := range spec.Containers {
		if isGate(c) {
			refuse("container %q is not the gate: the name is reserved, give it another", c.Name)
			continue
		}
		reasons = append(reasons, containerRefusals(spec, c)...)
	}
	return reasons
}

// tlsRefusals are about the annotations of TLS to the broker and the volume that it needs.
func tlsRefusals(pod *corev1.Pod) (reasons []string) {
	refuse := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	secret, port, name := pod.Annotations[v1alpha1.AnnotationBrokerTLS], pod.Annotations[v1alpha1.AnnotationBrokerTLSPort], pod.Annotations[v1alpha1.AnnotationBrokerTLSName]
	if secret == "" && (port != "" || name != "") {
		refuse("annotations %s and %s need %s: name the Secret with ca.crt there",
			v1alpha1.AnnotationBrokerTLSPort, v1alpha1.AnnotationBrokerTLSName, v1alpha1.AnnotationBrokerTLS)
	}
	if secret != "" && len(validation.IsDNS1123Subdomain(secret)) > 0 {
		refuse("annotation %s is %q: write the name of a Secret", v1alpha1.AnnotationBrokerTLS, secret)
	}
	if port != "" && !isPort(port) {
		refuse("annotation %s is %q: write one port", v1alpha1.AnnotationBrokerTLSPort, port)
	}
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 && net.ParseIP(name) == nil {
		refuse("annotation %s is %q: write a DNS name or an IP, as in the broker's certificate", v1alpha1.AnnotationBrokerTLSName, name)
	}
	if slices.ContainsFunc(pod.Spec.Volumes, isTLS) && !slices.ContainsFunc(pod.Spec.InitContainers, isGate) {
		refuse("volume %q is not the gate's: the name is reserved, give it another", v1alpha1.BrokerTLSVolume)
	}
	return reasons
}

// isOurs tells the gate that was put in before, with the source of a migration, from a stranger of the same name.
func isOurs(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways &&
		c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil && *c.SecurityContext.RunAsUser == v1alpha1.GateUID
}

func containerRefusals(spec *corev1.PodSpec, c corev1.Container) (reasons []string) {
	refuse := func(format string, args ...any) {
		reasons = append(reasons, fmt.Sprintf("container %q "+format, append([]any{c.Name}, args...)...))
	}
	if s := c.SecurityContext; s != nil && s.Privileged != nil && *s.Privileged {
		refuse("is privileged: give it the capabilities it needs instead")
	}
	if uid := userOf(spec, c); uid != nil && *uid == v1alpha1.GateUID {
		refuse("runs as user %d, which is the gate's: choose another runAsUser", v1alpha1.GateUID)
	}
	if len(c.VolumeDevices) > 0 {
		refuse("uses block devices: mount a file system instead")
	}
	for name := range c.Resources.Limits {
		if isDevice(name) {
			refuse("uses the device %s, whose state no checkpoint holds: leave it out", name)
		}
	}
	for _, p := range c.Ports {
		if p.HostPort != 0 {
			refuse("binds port %d of its node: leave hostPort out and use a Service", p.HostPort)
		}
		if p.ContainerPort == v1alpha1.GatePort || p.ContainerPort == v1alpha1.GateMetricsPort {
			refuse("listens on port %d, which is the gate's: choose another", p.ContainerPort)
		}
	}
	return reasons
}

func userOf(spec *corev1.PodSpec, c corev1.Container) *int64 {
	if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
		return c.SecurityContext.RunAsUser
	}
	if spec.SecurityContext != nil {
		return spec.SecurityContext.RunAsUser
	}
	return nil
}

// isDevice reports whether the resource is one of a device plugin: those have a domain other than Kubernetes' own.
func isDevice(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	return qualified && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}

// badBrokerPort returns the part of the annotation that is no port of a broker; empty when all are.
func badBrokerPort(pod *corev1.Pod) string {
	text, ok := pod.Annotations[v1alpha1.AnnotationBrokerPorts]
	if !ok {
		return ""
	}
	for _, field := range strings.Split(text, ",") {
		if !isPort(strings.TrimSpace(field)) {
			return fmt.Sprintf("%q", field)
		}
	}
	return ""
}

// isPort tells whether the text is a port of a broker.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0 && port != v1alpha1.GatePort && port != v1alpha1.GateMetricsPort
}
