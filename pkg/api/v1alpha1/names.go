package v1alpha1

import corev1 "k8s.io/api/core/v1"

// What users write on their pods and namespaces.
const (
	// LabelMigratable, set to "true" on a pod, opts it in: the webhook prepares it at creation.
	LabelMigratable = "ms2m.dev/migratable"
	// AnnotationBrokerPorts lists the pod's broker ports that are redirected to the gate, comma separated. Default
	// "5672,5671".
	AnnotationBrokerPorts = "ms2m.dev/broker-ports"
	// AnnotationBrokerSecret names the Secret of the pod's namespace whose key "uri" is the AMQP URI of the log's
	// broker user. Default BrokerSecretName.
	AnnotationBrokerSecret = "ms2m.dev/broker-secret" //nolint:gosec // the name of an annotation, not a credential
	// AnnotationBrokerTLS names the Secret of the pod's namespace with which the gate speaks TLS to the broker: ca.crt,
	// and for a broker that asks for a certificate of its clients tls.crt and tls.key. The app itself speaks plain AMQP.
	AnnotationBrokerTLS = "ms2m.dev/broker-tls"
	// AnnotationBrokerTLSPort is the broker's TLS port, in place of the one that the app dials. Default "5671".
	AnnotationBrokerTLSPort = "ms2m.dev/broker-tls-port"
	// AnnotationBrokerTLSName is the name in the broker's certificate. Default: the host in the URI of the log's broker
	// user if that is amqps, else the address that the app dials.
	AnnotationBrokerTLSName = "ms2m.dev/broker-tls-name"
)

// What the system writes on pods.
const (
	// LabelMigration is the UID of the Migration that created the pod.
	LabelMigration = "ms2m.dev/migration"
	// AnnotationRestore lists, comma separated, the containers that the runtime wrapper restores from a checkpoint.
	// It only asks the wrapper to look for a ticket: the ticket, bound to the pod's UID, decides.
	AnnotationRestore = "ms2m.dev/restore"
	// ConditionActive is the readiness gate of prepared pods: true for the one instance that processes messages.
	ConditionActive corev1.PodConditionType = "ms2m.dev/Active"
)

// What the agents write on nodes.
const (
	// LabelNodeReady is "true" on nodes whose pods can be migrated, from and to. Prepared pods run nowhere else.
	LabelNodeReady = "ms2m.dev/ready"
	// LabelNodeCRIU, LabelNodeKernel and LabelNodeRuntime are versions.
	LabelNodeCRIU    = "ms2m.dev/criu"
	LabelNodeKernel  = "ms2m.dev/kernel"
	LabelNodeRuntime = "ms2m.dev/runtime"
	// LabelNodeCPU is the same on nodes whose processors have the same features.
	LabelNodeCPU = "ms2m.dev/cpu"
	// AnnotationNodeProblems tells people why a node is not ready.
	AnnotationNodeProblems = "ms2m.dev/problems"
)

// Fixed names and numbers that several parts must agree on.
const (
	RuntimeClass     = "ms2m"
	GateContainer    = "ms2m-gate"
	BrokerSecretName = "ms2m-broker"
	// BrokerTLSVolume is the pod's volume with the Secret of AnnotationBrokerTLS.
	BrokerTLSVolume = "ms2m-broker-tls"
	// GateUID runs the gate. The redirect spares its traffic, so no app container may run as it.
	GateUID = 65420
	// GatePort accepts the redirected AMQP connections inside the pod.
	GatePort = 45672
	// GateMetricsPort serves the gate's /metrics and /healthz.
	GateMetricsPort = 45673
	// GateFolder is where the gate's container sees its folder on the node: its control socket and its mode record.
	GateFolder = "/run/ms2m"
	// AgentPort is the agent's mutual TLS port.
	AgentPort = 9443
	// Identities in the certificates (common name and DNS name) with which parts speak to agents.
	ControllerIdentity = "ms2m-controller"
	AgentIdentity      = "ms2m-agent"
)

// LogQueue is the secondary queue of a migration.
func LogQueue(migrationUID string) string { return "ms2m.replay." + migrationUID }
