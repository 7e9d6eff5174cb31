package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"ms2m.dev/ms2m-descheduler/pkg/certs"
)

func newCertificates() *certificates {
	return &certificates{
		client: fake.NewClientset(&admissionv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: webhookConfiguration},
			Webhooks:   []admissionv1.MutatingWebhook{{Name: "pods.ms2m.dev"}},
		}),
		namespace: "ms2m-system",
		now:       time.Now,
	}
}

func (k *certificates) data(t *testing.T, name string) map[string][]byte {
	t.Helper()
	secret, err := k.client.CoreV1().Secrets(k.namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	return secret.Data
}

func TestCertificatesAreMadeOnce(t *testing.T) {
	k := newCertificates()
	require.NoError(t, k.ensure(t.Context()))
	first := map[string]map[string][]byte{}
	for _, name := range []string{secretCA, secretAgent, secretController, secretWebhook} {
		first[name] = k.data(t, name)
	}
	require.NoError(t, k.ensure(t.Context()))
	for name, data := range first {
		require.Equal(t, data, k.data(t, name), name)
	}
	config, err := k.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), webhookConfiguration, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, first[secretCA][keyCACert], config.Webhooks[0].ClientConfig.CABundle)
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	k := newCertificates()
	replicas := []*certificates{k, {client: k.client, namespace: k.namespace, now: time.Now}, {client: k.client, namespace: k.namespace, now: time.Now}}
	var group errgroup.Group
	for _, r := range replicas {
		group.Go(func() error { return r.ensure(t.Context()) })
	}
	require.NoError(t, group.Wait())
	for _, r := range replicas {
		require.Equal(t, k.held.Load().webhook.Certificate, r.held.Load().webhook.Certificate)
	}
}

// connection returns both ends of a TCP connection. Its buffers let an end that fails say so and go.
func connection(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close() //nolint:errcheck // only listened
	client, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() }) //nolint:errcheck // at the end
	return client, server
}

func TestControllerAndAgentTrustEachOther(t *testing.T) {
	k := newCertificates()
	require.NoError(t, k.ensure(t.Context()))
	data := k.data(t, secretAgent)
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	require.NoError(t, err)
	trust := x509.NewCertPool()
	require.True(t, trust.AppendCertsFromPEM(data[keyCACert]))
	here, there := connection(t)
	agent := tls.Server(there, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientCAs: trust, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	var group errgroup.Group
	group.Go(agent.Handshake)
	require.NoError(t, tls.Client(here, k.agentTLS()).Handshake())
	require.NoError(t, group.Wait())
	require.Equal(t, "ms2m-controller", agent.ConnectionState().PeerCertificates[0].Subject.CommonName)
}

func TestControllerTrustsNoOtherAgent(t *testing.T) {
	k := newCertificates()
	require.NoError(t, k.ensure(t.Context()))
	other, err := certs.NewCA("other")
	require.NoError(t, err)
	issued, err := other.Issue(certs.Request{CommonName: "ms2m-agent", DNSNames: []string{"ms2m-agent"}})
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	require.NoError(t, err)
	here, there := connection(t)
	ended := make(chan error, 1)
	go func() {
		ended <- tls.Server(there, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}).Handshake()
	}()
	require.ErrorContains(t, tls.Client(here, k.agentTLS()).Handshake(), "unknown authority")
	require.Error(t, <-ended)
}

func TestLeavesAreRenewedInTheLastThird(t *testing.T) {
	k := newCertificates()
	require.NoError(t, k.ensure(t.Context()))
	before, ca := k.data(t, secretWebhook), k.data(t, secretCA)

	k.now = func() time.Time { return time.Now().Add(leafLifetime * 6 / 10) }
	require.NoError(t, k.ensure(t.Context()))
	require.Equal(t, before, k.data(t, secretWebhook))

	k.now = func() time.Time { return time.Now().Add(leafLifetime * 7 / 10) }
	require.NoError(t, k.ensure(t.Context()))
	require.NotEqual(t, before[corev1.TLSCertKey], k.data(t, secretWebhook)[corev1.TLSCertKey])
	require.Equal(t, ca, k.data(t, secretCA))
}

func TestRenewedAuthorityKeepsTheTrustInTheOldOne(t *testing.T) {
	k := newCertificates()
	require.NoError(t, k.ensure(t.Context()))
	before, leaf := k.data(t, secretCA), k.data(t, secretAgent)

	k.now = func() time.Time { return time.Now().Add(certs.DefaultLifetime * 7 / 10) }
	ca, err := k.authority(t.Context())
	require.NoError(t, err)
	k.now = time.Now
	require.NotEqual(t, firstBlock(before[keyCACert]), firstBlock(ca.Cert))
	require.Equal(t, string(firstBlock(ca.Cert))+string(before[keyCACert]), string(ca.Cert))

	require.NoError(t, k.ensure(t.Context()))
	after := k.data(t, secretAgent)
	require.Equal(t, leaf[corev1.TLSCertKey], after[corev1.TLSCertKey], "valid until its own renewal")
	require.Equal(t, ca.Cert, after[keyCACert], "both are trusted")
}

func TestDamagedAuthorityIsNotReplaced(t *testing.T) {
	k := newCertificates()
	_, err := k.client.CoreV1().Secrets(k.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secretCA, Namespace: k.namespace}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, k.ensure(t.Context()), "delete it to have a new one made")
}
