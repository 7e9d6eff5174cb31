// Package transport connects to brokers, over TLS where they ask for it.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// Files in the folder of a TLS.
const (
	authorityFile   = "ca.crt"
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
)

// TLS to a broker. Its files are read for every connection, so that renewed ones are used for new connections.
type TLS struct {
	// Folder with ca.crt, the authority of the broker's certificate, and for a broker that asks for a certificate of its
	// clients tls.crt and tls.key.
	Folder string
	// Name in the broker's certificate; empty for the one that is dialled.
	Name string
}

// Config for a connection to host, a name or an IP.
func (t *TLS) Config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if t.Name != "" {
		c.ServerName = t.Name
	}
	authority, err := os.ReadFile(filepath.Join(t.Folder, authorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s in the Secret of annotation ms2m.dev/broker-tls: put the authority of the broker's certificate there", authorityFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading authority of the broker's certificate: %w", err)
	}
	if !c.RootCAs.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s in the Secret of annotation ms2m.dev/broker-tls is no certificate in PEM", authorityFile)
	}
	pair, err := t.clientPair()
	if err != nil {
		return nil, err
	}
	if pair != nil {
		// Also to a broker that does not know its issuer by name: it is the one certificate that there is.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return c, nil
}

// clientPair is the gate's own certificate, or nil.
func (t *TLS) clientPair() (*tls.Certificate, error) {
	certificate, key := filepath.Join(t.Folder, certificateFile), filepath.Join(t.Folder, keyFile)
	if _, err := os.Stat(certificate); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s in the Secret of annotation ms2m.dev/broker-tls do not go together: %w", certificateFile, keyFile, err)
	}
	return &pair, nil
}

// Dial a broker at host and port. Without a TLS the connection is plain.
func (t *TLS) Dial(ctx context.Context, address string) (net.Conn, error) {
	plain, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil || t == nil {
		return plain, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	config, err := t.Config(host)
	if err != nil {
		_ = plain.Close()
		return nil, err
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, Explain(err)
	}
	return conn, nil
}
