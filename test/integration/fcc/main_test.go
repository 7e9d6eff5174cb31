//go:build integration

// Package fcc moves the memory of a pod between the nodes of a real cluster: kubelet, containerd, runc and CRIU, and of
// the product what is on nodes, installed by its manifests.
package fcc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/certs"
	"ms2m.dev/ms2m-descheduler/test/cluster"
	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

const (
	namespace = "fcc-test"
	image     = "ms2m.dev/memory:dev"
	root      = "../../.."
	poll      = 20 * time.Millisecond
)

// world is what all tests share.
var world struct {
	*cluster.Cluster
	kube   *kubernetes.Clientset
	agents *client.Pool
	nodes  []string
	// identity is the folder of the certificate with which the tests call agents.
	identity string
}

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testing checkpoint and restore:", err)
		code = 1
	}
	os.Exit(code)
}

// run the tests on the cluster that cluster.Env names, else on one of their own.
func run(ctx context.Context, m *testing.M) (code int, err error) {
	if dir := os.Getenv(cluster.Env); dir != "" {
		world.Cluster, err = cluster.Attach(dir)
		if err == nil {
			err = world.LoadProduct(ctx, build.NewProgress(os.Stderr), "ms2m-agent")
		}
	} else {
		world.Cluster, err = cluster.Up(ctx, cluster.Options{Out: os.Stderr})
		defer func() {
			if world.Cluster != nil {
				err = errors.Join(err, world.Down(context.WithoutCancel(ctx)))
			}
		}()
	}
	if err != nil {
		return 1, err
	}
	if err := install(ctx); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, remove(context.WithoutCancel(ctx))) }()
	return m.Run(), nil
}

// manifests of what is on nodes.
var manifests = []string{"namespace.yaml", "runtimeclass.yaml", "node", "agent"}

// system is the namespace of the agents.
const system = "ms2m-system"

// install the image and the node's side of the product. There is no controller: the tests are in its place.
func install(ctx context.Context) error {
	config, err := world.RESTConfig()
	if err != nil {
		return err
	}
	if world.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	nodes, err := world.Nodes()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		world.nodes = append(world.nodes, n.Name)
		if err := importImage(ctx, n.Name); err != nil {
			return err
		}
	}
	for _, m := range manifests {
		if err := kustomize(ctx, "apply", m, "--server-side"); err != nil {
			return err
		}
	}
	if err := identities(ctx); err != nil {
		return err
	}
	if err := world.Apply(ctx, "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+namespace+"}"); err != nil {
		return err
	}
	for _, args := range []string{
		"-n " + system + " rollout status daemonset/ms2m-node --timeout=120s",
		"-n " + system + " rollout status daemonset/ms2m-agent --timeout=60s",
		"wait --for=jsonpath={.metadata.labels.ms2m\\.dev/ready}=true --timeout=60s nodes " + strings.Join(world.nodes, " "),
	} {
		if _, err := world.Kubectl(ctx, strings.Fields(args)...); err != nil {
			return err
		}
	}
	return nil
}

// kustomize does something with a manifest, a file or a folder.
func kustomize(ctx context.Context, do, manifest string, args ...string) error {
	path, flag := filepath.Join(root, "manifests", manifest), "-f"
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		flag = "-k"
	}
	_, err := world.Kubectl(ctx, append([]string{do, flag, path}, args...)...)
	return err
}

// identities lets the tests speak as the controller: with its certificate, if there is one, else with one of their own
// authority, which the agents get too.
func identities(ctx context.Context) (err error) {
	if world.identity, err = os.MkdirTemp("", "fcc-test-"); err != nil {
		return err
	}
	var files map[string][]byte
	if secret, err := world.kube.CoreV1().Secrets(system).Get(ctx, "ms2m-controller-tls", metav1.GetOptions{}); err == nil {
		files = secret.Data
	} else if files, err = issue(ctx); err != nil {
		return err
	}
	for file, b := range files {
		if err := os.WriteFile(filepath.Join(world.identity, file), b, 0o600); err != nil {
			return err
		}
	}
	config, err := client.Identity(world.identity).ClientTLS()
	if err != nil {
		return err
	}
	world.agents = client.NewPool(world.kube.CoreV1().Pods(system), config)
	return nil
}

// issue certificates for the agents and return the controller's.
func issue(ctx context.Context) (map[string][]byte, error) {
	ca, err := certs.NewCA("fcc-test")
	if err != nil {
		return nil, err
	}
	pairs := map[string]certs.Pair{}
	for _, name := range []string{v1alpha1.AgentIdentity, v1alpha1.ControllerIdentity} {
		if pairs[name], err = ca.Issue(certs.Request{CommonName: name, DNSNames: []string{name}}); err != nil {
			return nil, err
		}
	}
	controller, agent := pairs[v1alpha1.ControllerIdentity], pairs[v1alpha1.AgentIdentity]
	secret, err := yaml.Marshal(corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "ms2m-agent-tls", Namespace: system},
		Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": agent.Cert, "tls.key": agent.Key, "ca.crt": ca.Cert},
	})
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"tls.crt": controller.Cert, "tls.key": controller.Key, "ca.crt": ca.Cert}, world.Apply(ctx, string(secret))
}

func remove(ctx context.Context) error {
	_, err := world.Kubectl(ctx, "delete", "--wait", "--ignore-not-found", "namespace/"+namespace)
	return errors.Join(err, os.RemoveAll(world.identity))
}

func importImage(ctx context.Context, node string) error {
	dir, err := os.MkdirTemp("", "fcc-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	binary, archive := filepath.Join(dir, "memory"), filepath.Join(dir, "memory.tar")
	if err := build.GoBuild(ctx, root, "./test/integration/fcc/memory", binary); err != nil {
		return err
	}
	if err := build.BinaryImage(archive, image, binary); err != nil {
		return err
	}
	cmd, err := world.NodeCommand(ctx, node, "ctr", "--namespace=k8s.io", "images", "import", "--local", "-")
	if err != nil {
		return err
	}
	if cmd.Stdin, err = os.Open(archive); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing image on %s: %w: %s", node, err, out)
	}
	return nil
}

// start a pod of the memory service on the node; restore names it a target.
func start(t *testing.T, node string, restore bool, args ...string) *corev1.Pod {
	t.Helper()
	class, grace := v1alpha1.RuntimeClass, int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "memory-"},
		Spec: corev1.PodSpec{
			NodeName: node, RuntimeClassName: &class, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "app", Image: image, ImagePullPolicy: corev1.PullNever, Args: args}},
		},
	}
	if restore {
		pod.Annotations = map[string]string{v1alpha1.AnnotationRestore: "app"}
	}
	return create(t, pod)
}

func create(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	pods := world.kube.CoreV1().Pods(namespace)
	made, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, pods.Delete(ctx, made.Name, metav1.DeleteOptions{}))
		require.Eventually(t, func() bool { return get(ctx, made) == nil }, time.Minute, poll)
	})
	return made
}

// get the pod as it is now, nil if it is gone.
func get(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	now, err := world.kube.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil || now.UID != pod.UID {
		return nil
	}
	return now
}

// running waits for the pod's container and returns the pod.
func running(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	var now *corev1.Pod
	require.Eventually(t, func() bool {
		now = get(t.Context(), pod)
		return now != nil && now.Status.PodIP != "" && len(now.Status.ContainerStatuses) > 0 && now.Status.ContainerStatuses[0].State.Running != nil
	}, 2*time.Minute, poll)
	return now
}

// state of the memory service.
type state struct {
	Instance, Sum, Written, IOUring, MPTCP string
	Count                                  uint64
	Deleted                                bool
	Dialled, Redirected                    int
}

// ask the pod's service for its state; POST changes it.
func ask(ctx context.Context, method string, pod *corev1.Pod) (state, error) {
	var s state
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+pod.Status.PodIP+":8080/", nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// mustAsk waits until the service answers.
func mustAsk(t *testing.T, method string, pod *corev1.Pod) state {
	t.Helper()
	var s state
	require.Eventually(t, func() bool {
		var err error
		s, err = ask(t.Context(), method, pod)
		return err == nil
	}, 30*time.Second, poll)
	return s
}

func agent(t *testing.T, node string) *client.Client {
	t.Helper()
	c, err := world.agents.Agent(t.Context(), node)
	require.NoError(t, err)
	return c
}
