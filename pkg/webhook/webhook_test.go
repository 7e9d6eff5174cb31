package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

const image = "example.org/gate:2"

// admit sends pod through the webhook and returns it as the API server would store it.
func admit(t *testing.T, pod *corev1.Pod) (*corev1.Pod, admission.Response) {
	t.Helper()
	raw, err := json.Marshal(pod)
	require.NoError(t, err)
	steer := func(context.Context, string, *corev1.Pod) error { return nil }
	h := &pods{decoder: admission.NewDecoder(clientgoscheme.Scheme), gateImage: image, steer: steer}
	resp := h.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Object: runtime.RawExtension{Raw: raw}}})
	if !resp.Allowed {
		return nil, resp
	}
	patch, err := json.Marshal(resp.Patches)
	require.NoError(t, err)
	operations, err := jsonpatch.DecodePatch(patch)
	require.NoError(t, err)
	if len(operations) > 0 {
		raw, err = operations.Apply(raw)
		require.NoError(t, err)
	}
	admitted := &corev1.Pod{}
	require.NoError(t, json.Unmarshal(raw, admitted))
	return admitted, resp
}

func labelled(change func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{v1alpha1.LabelMigratable: "true"}, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "init", Image: "init:1"}},
			Containers:     []corev1.Container{{Name: "app", Image: "app:1"}},
		},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func env(t *testing.T, c corev1.Container, name string) corev1.EnvVar {
	t.Helper()
	for _, e := range c.Env {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("container %s has no variable %s", c.Name, name)
	return corev1.EnvVar{}
}

func TestPrepare(t *testing.T) {
	pod, _ := admit(t, labelled(nil))
	require.Equal(t, v1alpha1.RuntimeClass, *pod.Spec.RuntimeClassName)
	require.Equal(t, []corev1.PodReadinessGate{{ConditionType: v1alpha1.ConditionActive}}, pod.Spec.ReadinessGates)
	require.Len(t, pod.Spec.InitContainers, 2)
	gate := pod.Spec.InitContainers[0]
	require.Equal(t, v1alpha1.GateContainer, gate.Name)
	require.Equal(t, image, gate.Image)
	require.Equal(t, corev1.ContainerRestartPolicyAlways, *gate.RestartPolicy)
	require.Equal(t, []string{"serve"}, gate.Args)
	require.Equal(t, []string{"/ms2m-gate", "wait"}, gate.Lifecycle.PostStart.Exec.Command)
	require.EqualValues(t, 65420, *gate.SecurityContext.RunAsUser)
	require.Equal(t, []corev1.Capability{"ALL"}, gate.SecurityContext.Capabilities.Drop)
	require.Empty(t, gate.VolumeMounts)
	require.Nil(t, gate.StartupProbe)
	require.Equal(t, "open", env(t, gate, "MS2M_START").Value)
	require.Equal(t, "metadata.uid", env(t, gate, "POD_UID").ValueFrom.FieldRef.FieldPath)
	secret := env(t, gate, "MS2M_BROKER_URI").ValueFrom.SecretKeyRef
	require.Equal(t, "ms2m-broker", secret.Name)
	require.Equal(t, "uri", secret.Key)
	require.Equal(t, labelled(nil).Spec.InitContainers[0], pod.Spec.InitContainers[1])
	require.Equal(t, labelled(nil).Spec.Containers, pod.Spec.Containers)
	require.Empty(t, pod.Spec.Volumes)
}

func TestPreparingTwiceChangesNothing(t *testing.T) {
	once, _ := admit(t, labelled(nil))
	twice, resp := admit(t, once)
	require.Empty(t, resp.Patches)
	require.Equal(t, once, twice)
}

func TestTargetGetsTheCurrentGateClosed(t *testing.T) {
	source, _ := admit(t, labelled(nil))
	source.Spec.InitContainers[0].Image = "example.org/gate:1"
	source.Annotations = map[string]string{v1alpha1.AnnotationRestore: "app", v1alpha1.AnnotationBrokerSecret: "other-broker"}
	target, _ := admit(t, source)

	gate := target.Spec.InitContainers[0]
	require.Equal(t, image, gate.Image)
	require.Equal(t, "closed", env(t, gate, "MS2M_START").Value)
	require.Equal(t, "other-broker", env(t, gate, "MS2M_BROKER_URI").ValueFrom.SecretKeyRef.Name)
	target.Spec.InitContainers[0].Image = source.Spec.InitContainers[0].Image
	target.Spec.InitContainers[0].Env = source.Spec.InitContainers[0].Env
	require.Equal(t, source, target)
}

func TestGateSpeaksTLS(t *testing.T) {
	pod, _ := admit(t, labelled(func(p *corev1.Pod) {
		p.Annotations[v1alpha1.AnnotationBrokerTLS] = "broker-tls"
		p.Annotations[v1alpha1.AnnotationBrokerTLSPort] = "5673"
		p.Annotations[v1alpha1.AnnotationBrokerTLSName] = "rabbitmq.example"
	}))
	gate := pod.Spec.InitContainers[0]
	require.Equal(t, []string{"serve", "--tls=/etc/ms2m/broker-tls", "--tls-port=5673", "--tls-name=rabbitmq.example"}, gate.Args)
	require.Equal(t, []corev1.VolumeMount{{Name: "ms2m-broker-tls", MountPath: "/etc/ms2m/broker-tls", ReadOnly: true}}, gate.VolumeMounts)
	require.Len(t, pod.Spec.Volumes, 1)
	require.Equal(t, "broker-tls", pod.Spec.Volumes[0].Secret.SecretName)

	again, resp := admit(t, pod)
	require.Empty(t, resp.Patches)
	require.Equal(t, pod, again)

	again.Annotations = nil
	plain, _ := admit(t, again)
	require.Empty(t, plain.Spec.Volumes)
	require.Empty(t, plain.Spec.InitContainers[0].VolumeMounts)
	require.Equal(t, []string{"serve"}, plain.Spec.InitContainers[0].Args)
}

func TestUnlabelledPodsAreLeftAlone(t *testing.T) {
	for _, value := range []string{"", "false", "True"} {
		pod := labelled(func(p *corev1.Pod) {
			p.Labels[v1alpha1.LabelMigratable] = value
			p.Spec.HostNetwork = true
		})
		admitted, resp := admit(t, pod)
		require.Empty(t, resp.Patches)
		require.Equal(t, pod.Spec, admitted.Spec)
	}
}

func TestRefusals(t *testing.T) {
	app := func(change func(*corev1.Container)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { change(&p.Spec.Containers[0]) }
	}
	for reason, change := range map[string]func(*corev1.Pod){
		"hostNetwork ties the pod to its node": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"hostPID ties the pod to its node":     func(p *corev1.Pod) { p.Spec.HostPID = true },
		"hostIPC ties the pod to its node":     func(p *corev1.Pod) { p.Spec.HostIPC = true },
		"shareProcessNamespace mixes":          func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = ptr.To(true) },
		`os is "windows"`:                      func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} },
		"resourceClaims bring devices":         func(p *corev1.Pod) { p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} },
		`runtimeClassName is "gvisor"`:         func(p *corev1.Pod) { p.Spec.RuntimeClassName = ptr.To("gvisor") },
		`container "app" runs as user 65420, which is the gate's`: app(func(c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{RunAsUser: ptr.To[int64](65420)}
		}),
		`container "app" is privileged`:                              app(func(c *corev1.Container) { c.SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)} }),
		`container "app" uses block devices`:                         app(func(c *corev1.Container) { c.VolumeDevices = []corev1.VolumeDevice{{Name: "d", DevicePath: "/dev/d"}} }),
		`container "app" uses the device nvidia.com/gpu`:             app(func(c *corev1.Container) { c.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": {}} }),
		`container "app" binds port 80 of its node`:                  app(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}} }),
		`container "app" listens on port 45672, which is the gate's`: app(func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 45672}} }),
		`container "ms2m-gate" is not the gate`:                      app(func(c *corev1.Container) { c.Name = "ms2m-gate" }),
		`init container "ms2m-gate" is not the gate`:                 func(p *corev1.Pod) { p.Spec.InitContainers[0].Name = "ms2m-gate" },
		`container "init" runs as user 65420`: func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](65420)}
		},
		`volume "v" is a hostPath`: func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}}}}
		},
		`annotation ms2m.dev/broker-ports is "5672,amqp": "amqp" is not a port`: func(p *corev1.Pod) {
			p.Annotations[v1alpha1.AnnotationBrokerPorts] = "5672,amqp"
		},
		"annotations ms2m.dev/broker-tls-port and ms2m.dev/broker-tls-name need ms2m.dev/broker-tls": func(p *corev1.Pod) {
			p.Annotations[v1alpha1.AnnotationBrokerTLSPort] = "5671"
		},
		`annotation ms2m.dev/broker-tls is "a/b": write the name of a Secret`: func(p *corev1.Pod) {
			p.Annotations[v1alpha1.AnnotationBrokerTLS] = "a/b"
		},
		`annotation ms2m.dev/broker-tls-port is "5671,5672": write one port`: func(p *corev1.Pod) {
			p.Annotations[v1alpha1.AnnotationBrokerTLS] = "s"
			p.Annotations[v1alpha1.AnnotationBrokerTLSPort] = "5671,5672"
		},
		`annotation ms2m.dev/broker-tls-name is "$(MS2M_BROKER_URI)": write a DNS name or an IP`: func(p *corev1.Pod) {
			p.Annotations[v1alpha1.AnnotationBrokerTLS] = "s"
			p.Annotations[v1alpha1.AnnotationBrokerTLSName] = "$(MS2M_BROKER_URI)"
		},
		`volume "ms2m-broker-tls" is not the gate's`: func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "ms2m-broker-tls"}}
		},
	} {
		t.Run(reason, func(t *testing.T) {
			_, resp := admit(t, labelled(change))
			require.False(t, resp.Allowed)
			require.EqualValues(t, http.StatusForbidden, resp.Result.Code)
			require.Contains(t, resp.Result.Message, "can never be migrated")
			require.Contains(t, resp.Result.Message, reason)
		})
	}
}
