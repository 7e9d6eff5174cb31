package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	require.NotNil(t, block)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}

func TestIssuedCertificateVerifies(t *testing.T) {
	ca, err := NewCA("test")
	require.NoError(t, err)
	pair, err := ca.Issue(Request{
		CommonName: "agent", Organizations: []string{"nodes"},
		DNSNames: []string{"agent.local"}, IPs: []net.IP{net.IPv4(10, 0, 0, 1)},
	})
	require.NoError(t, err)
	_, err = tls.X509KeyPair(pair.Cert, pair.Key)
	require.NoError(t, err, "key and certificate belong together")

	cert := parse(t, pair.Cert)
	require.Equal(t, []string{"nodes"}, cert.Subject.Organization)
	for _, name := range []string{"agent.local", "10.0.0.1"} {
		_, err = cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name})
		require.NoError(t, err, name)
	}
	_, err = cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "other.local"})
	require.Error(t, err)
}

func TestUsagesAndLifetimeAreKept(t *testing.T) {
	ca, err := NewCA("test")
	require.NoError(t, err)
	pair, err := ca.Issue(Request{
		CommonName: "client", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, Lifetime: time.Hour,
	})
	require.NoError(t, err)
	cert := parse(t, pair.Cert)
	require.WithinDuration(t, time.Now().Add(time.Hour), cert.NotAfter, time.Minute)
	_, err = cert.Verify(x509.VerifyOptions{Roots: ca.Pool()})
	require.Error(t, err, "a client's certificate is none of a server")
	_, err = cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	require.NoError(t, err)
}

func TestLoadCA(t *testing.T) {
	ca, err := NewCA("test")
	require.NoError(t, err)
	loaded, err := LoadCA(ca.Cert, ca.Key)
	require.NoError(t, err)
	pair, err := loaded.Issue(Request{CommonName: "leaf"})
	require.NoError(t, err)
	_, err = parse(t, pair.Cert).Verify(x509.VerifyOptions{Roots: ca.Pool()})
	require.NoError(t, err)

	_, err = LoadCA(pair.Cert, pair.Key)
	require.ErrorContains(t, err, "may not sign", "a leaf is no authority")
	other, err := NewCA("other")
	require.NoError(t, err)
	_, err = LoadCA(ca.Cert, other.Key)
	require.Error(t, err, "another authority's key")
}
