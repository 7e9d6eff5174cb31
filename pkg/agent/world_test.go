package agent

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/certs"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/kubelet"
)

const (
	sourceUID = "11111111-2222-3333-4444-555555555555"
	targetUID = "99999999-2222-3333-4444-555555555555"
)

// node is an agent that serves, with a kubelet of its own.
type node struct {
	*Agent
	kube    *fake.Clientset
	address string
	ca      *certs.CA
	// asked counts the kubelet's checkpoints.
	asked atomic.Int32
}

// identity writes a certificate of the authority for the name.
func identity(t *testing.T, ca *certs.CA, name string) client.Identity {
	t.Helper()
	dir := t.TempDir()
	issue(t, ca, name, dir)
	return client.Identity(dir)
}

func issue(t *testing.T, ca *certs.CA, name, dir string) {
	t.Helper()
	pair, err := ca.Issue(certs.Request{CommonName: name, DNSNames: []string{name}})
	require.NoError(t, err)
	for file, b := range map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": ca.Cert} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), b, 0o600))
	}
}

func authority(t *testing.T) *certs.CA {
	t.Helper()
	ca, err := certs.NewCA("test")
	require.NoError(t, err)
	return ca
}

// newNode starts an agent among pods.
func newNode(t *testing.T, ca *certs.CA, pods ...*corev1.Pod) *node {
	t.Helper()
	n := &node{kube: fake.NewClientset(), ca: ca}
	for _, p := range pods {
		require.NoError(t, n.kube.Tracker().Add(p))
	}
	root := t.TempDir()
	o := Options{
		NodeName: "node", HostIP: "127.0.0.1", Root: root, Checkpoints: t.TempDir(),
		KubeletCertificate: filepath.Join(root, "kubelet.crt"), TokenFile: filepath.Join(root, "token"),
		Identity: identity(t, ca, v1alpha1.AgentIdentity),
	}
	require.NoError(t, os.WriteFile(o.TokenFile, []byte("token"), 0o600))
	a, err := New(o, n.kube, slog.New(slog.NewTextHandler(io.Discard, nil)))
	require.NoError(t, err)
	n.Agent = a
	n.startKubelet(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	require.NoError(t, a.pods.start(ctx))
	config, err := o.Identity.ServerTLS()
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(a.Handler())
	server.TLS = config
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	n.address = server.Listener.Addr().String()
	return n
}

// startKubelet serves checkpoints as the kubelet does: it writes an archive whose name has a resolution of a second.
func (n *node) startKubelet(t *testing.T) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/checkpoint/default/source/app" {
			http.Error(w, "pod does not exist", http.StatusNotFound)
			return
		}
		count := n.asked.Add(1)
		path := filepath.Join(n.options.Checkpoints, "checkpoint-source_default-app-2026-01-01T00:00:00Z.tar")
		if err := os.WriteFile(path, archived(count), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, `{"items":[%q]}`, path)
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	pin := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(n.options.KubeletCertificate, pin, 0o600))
	n.kubelet = kubelet.NewAt(server.URL, n.options.TokenFile, n.options.KubeletCertificate)
}

// archived is a small checkpoint archive.
func archived(count int32) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range map[string]string{
		"checkpoint/inventory.img": "", "checkpoint/descriptors.json": "[]", "checkpoint/pages-1.img": fmt.Sprint(count),
		"config.dump": "{}", "spec.dump": "{}",
	} {
		_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content))})
		_, _ = w.Write([]byte(content))
	}
	_ = w.Close()
	return b.Bytes()
}

// as returns a client of the agent with the certificate of name.
func (n *node) as(t *testing.T, name string) *client.Client {
	t.Helper()
	config, err := identity(t, n.ca, name).ClientTLS()
	require.NoError(t, err)
	return client.New(n.address, config)
}

func (n *node) controller(t *testing.T) *client.Client {
	t.Helper()
	return n.as(t, v1alpha1.ControllerIdentity)
}

// gate serves a gate's control API in the folder of a pod.
func (n *node) gate(t *testing.T, podUID string, h http.Handler) {
	t.Helper()
	folder := filepath.Join(n.options.Root, "gates", podUID)
	require.NoError(t, os.MkdirAll(folder, 0o700))
	listener, err := net.Listen("unix", filepath.Join(folder, gateSocket))
	require.NoError(t, err)
	server := &http.Server{Handler: h} //nolint:gosec // a test's
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

func prepared(name, uid string) *corev1.Pod {
	class := v1alpha1.RuntimeClass
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(uid)},
		Spec: corev1.PodSpec{
			NodeName: "node", RuntimeClassName: &class,
			InitContainers: []corev1.Container{{Name: v1alpha1.GateContainer}},
			Containers:     []corev1.Container{{Name: "app"}},
		},
	}
}

func checkpointRequest() client.CheckpointRequest {
	return client.CheckpointRequest{Migration: "migration", Namespace: "default", Pod: "source", PodUID: sourceUID, Container: "app"}
}

// requireRefused asserts that an agent answered with the code and reason.
func requireRefused(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, code, refused.Code, refused.Message)
	require.Contains(t, refused.Message, reason)
}

// post as a stranger would and return the status.
func post(t *testing.T, config *tls.Config, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	require.NoError(t, err)
	resp, err := client.NewHTTP(config).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
