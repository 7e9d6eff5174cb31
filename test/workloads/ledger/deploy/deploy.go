// Package deploy describes the ledger to Kubernetes, as typed objects.
package deploy

import (
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

// Names of the workload and where it finds the test cluster's broker, whose users' passwords are their names.
const (
	Name         = "ledger"
	Port         = 8080
	BrokerSecret = "ledger-broker" //nolint:gosec // the name of a Secret, not a credential

	appURI = "amqp://app:app@rabbitmq.rabbitmq.svc.cluster.local:5672"
	logURI = "amqp://ms2m:ms2m@rabbitmq.rabbitmq.svc.cluster.local:5672"

	logTLSURI = "amqps://ms2m:ms2m@rabbitmq.rabbitmq.svc.cluster.local:5671/"
	tlsSecret = "broker-tls" //nolint:gosec // the name of a Secret, not a credential

	// user is root without any capability: CRIU needs CAP_SYS_RESOURCE on the node to read the limits of another user's
	// process, and the machines of tests may lack it. On an ordinary node any user but the gate's will do.
	user = 0
)

// Options of a ledger. The zero value of a field is its default.
type Options struct {
	// App that keeps the ledger, default Go.
	App App
	// Namespace, default Name.
	Namespace string
	// Node on which the pod starts, past the scheduler. Not a node selector: a copy of the pod must be free to run
	// elsewhere. Default: the scheduler chooses.
	Node string
	// CPU requested, default 500m.
	CPU string
	// Mebibytes of ballast.
	Mebibytes int
	// Service time of a message, default 5 ms.
	Service time.Duration
	// Prefetch, default 20.
	Prefetch int
	// Queues, default those of package wire, classic.
	Queues wire.Queues
	// Authority of the broker's certificate, PEM: the gate speaks TLS to the broker. Default: it speaks plain AMQP.
	Authority []byte
}

func (o Options) withDefaults() Options {
	if o.App.Image == "" {
		o.App = Go
	}
	setDefault(&o.Namespace, Name)
	setDefault(&o.CPU, "500m")
	setDefault(&o.Service, 5*time.Millisecond)
	setDefault(&o.Prefetch, 20)
	setDefault(&o.Queues.In, wire.QueueIn)
	setDefault(&o.Queues.Out, wire.QueueOut)
	setDefault(&o.Queues.Type, "classic")
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Base returns what the ledger needs in its namespace: the namespace, the secrets and the service.
func Base(o Options) []client.Object {
	o = o.withDefaults()
	objects := []client.Object{
		&corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: o.Namespace, Labels: map[string]string{
				"pod-security.kubernetes.io/enforce": "baseline",
			}},
		},
		secret(o, BrokerSecret, wire.EnvBroker, appURI),
		secret(o, v1alpha1.BrokerSecretName, "uri", o.logURI()),
		service(o),
	}
	if o.Authority != nil {
		objects = append(objects, secret(o, tlsSecret, "ca.crt", string(o.Authority)))
	}
	return objects
}

func (o Options) logURI() string {
	if o.Authority != nil {
		return logTLSURI
	}
	return logURI
}

// podAnnotations ask for what is not the default.
func (o Options) podAnnotations() map[string]string {
	if o.Authority == nil {
		return nil
	}
	return map[string]string{v1alpha1.AnnotationBrokerTLS: tlsSecret}
}

// Deployment returns the ledger as a Deployment of one replica.
func Deployment(o Options) *appsv1.Deployment {
	o = o.withDefaults()
	replicas := int32(1)
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: objectMeta(o, Name),
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
			Selector: &metav1.LabelSelector{MatchLabels: selector()},
			Template: corev1.PodTemplateSpec{ObjectMeta: podMeta(o), Spec: podSpec(o)},
		},
	}
}

// Pod returns the ledger as a bare pod.
func Pod(o Options) *corev1.Pod {
	o = o.withDefaults()
	meta := objectMeta(o, Name)
	meta.Labels, meta.Annotations = podLabels(), o.podAnnotations()
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: meta,
		Spec:       podSpec(o),
	}
}

// OrdinalQueues are the queues of one pod of a StatefulSet; name is the pod's.
func OrdinalQueues(name string) wire.Queues {
	return wire.Queues{In: name + ".in", Out: name + ".out", Type: "classic"}
}

// StatefulSet returns the ledger as a StatefulSet, each of whose pods has queues of its own, and the headless service
// that gives the pods their DNS names.
func StatefulSet(o Options, replicas int32) (*appsv1.StatefulSet, *corev1.Service) {
	o = o.withDefaults()
	o.Queues = OrdinalQueues("$(" + envPodName + ")")
	spec := podSpec(o)
	spec.Containers[0].Env = append(spec.Containers[0].Env, corev1.EnvVar{Name: envPodName, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"},
	}})
	headless := service(o)
	headless.Name = Name + "-pods"
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: objectMeta(o, Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:    &replicas,
			ServiceName: headless.Name,
			Selector:    &metav1.LabelSelector{MatchLabels: selector()},
			Template:    corev1.PodTemplateSpec{ObjectMeta: podMeta(o), Spec: spec},
		},
	}, headless
}

const envPodName = "POD_NAME"

func selector() map[string]string { return map[string]string{"app": Name} }

func podMeta(o Options) metav1.ObjectMeta {
	return metav1.ObjectMeta{Labels: podLabels(), Annotations: o.podAnnotations()}
}

func podLabels() map[string]string {
	return map[string]string{"app": Name, v1alpha1.LabelMigratable: "true"}
}

func objectMeta(o Options, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: o.Namespace, Labels: selector()}
}

func secret(o Options, name, key, value string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: objectMeta(o, name),
		StringData: map[string]string{key: value},
	}
}

func service(o Options) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: objectMeta(o, Name),
		Spec: corev1.ServiceSpec{
			Selector: selector(),
			Ports:    []corev1.ServicePort{{Name: "http", Port: Port, TargetPort: intstr.FromString("http")}},
		},
	}
}

// podSpec is that of any careful service. The token is left out because a mounted one is a volume.
func podSpec(o Options) corev1.PodSpec {
	no := false
	grace := int64(5)
	return corev1.PodSpec{
		NodeName:                      o.Node,
		AutomountServiceAccountToken:  &no,
		EnableServiceLinks:            &no,
		TerminationGracePeriodSeconds: &grace,
		SecurityContext:               podSecurity(),
		Containers:                    []corev1.Container{container(o)},
	}
}

func podSecurity() *corev1.PodSecurityContext {
	uid := int64(user)
	return &corev1.PodSecurityContext{
		RunAsUser: &uid, RunAsGroup: &uid,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func container(o Options) corev1.Container {
	yes, no := true, false
	return corev1.Container{
		Name:            Name,
		Image:           o.App.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         o.App.Command(o.Mebibytes),
		Args: []string{
			"consume",
			"--service=" + o.Service.String(),
			"--prefetch=" + strconv.Itoa(o.Prefetch),
			"--memory=" + strconv.Itoa(o.Mebibytes),
			"--in=" + o.Queues.In, "--out=" + o.Queues.Out, "--queue-type=" + o.Queues.Type,
			"--listen=:" + strconv.Itoa(Port),
		},
		Env: []corev1.EnvVar{{Name: wire.EnvBroker, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: BrokerSecret}, Key: wire.EnvBroker,
			},
		}}},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: Port}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(o.CPU),
			corev1.ResourceMemory: *resource.NewQuantity(int64(o.Mebibytes+o.App.overheadMebibytes)<<20, resource.BinarySI),
		}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}
