package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// Identity is the folder of a part's certificate (tls.crt), its key (tls.key) and the authority (ca.crt). The files are
// read anew for each connection, so that a rotation needs no restart.
type Identity string

// ClientTLS returns the configuration with which to call agents. It fails if the files do not hold an identity now.
func (i Identity) ClientTLS() (*tls.Config, error) {
	if _, _, err := i.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: v1alpha1.AgentIdentity,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificate, _, err := i.load()
			return certificate, err
		},
		// VerifyConnection verifies in its place, with the authority as it is on the disk now.
		InsecureSkipVerify: true, // #nosec G402
		VerifyConnection:   i.verify,
	}, nil
}

// ServerTLS returns the configuration with which an agent serves. It fails if the files do not hold an identity now.
func (i Identity) ServerTLS() (*tls.Config, error) {
	if _, _, err := i.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			certificate, authority, err := i.load()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{*certificate},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    authority,
			}, nil
		},
	}, nil
}

// verify the certificate of an agent as crypto/tls would.
func (i Identity) verify(state tls.ConnectionState) error {
	_, authority, err := i.load()
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{Roots: authority, DNSName: state.ServerName, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err = state.PeerCertificates[0].Verify(options)
	return err
}

func (i Identity) load() (*tls.Certificate, *x509.CertPool, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(string(i), "tls.crt"), filepath.Join(string(i), "tls.key"))
	if err != nil {
		return nil, nil, fmt.Errorf("loading certificate: %w", err)
	}
	pem, err := os.ReadFile(filepath.Join(string(i), "ca.crt"))
	if err != nil {
		return nil, nil, fmt.Errorf("loading authority: %w", err)
	}
	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(pem) {
		return nil, nil, errors.New("loading authority: ca.crt holds no certificate")
	}
	return &certificate, authority, nil
}
