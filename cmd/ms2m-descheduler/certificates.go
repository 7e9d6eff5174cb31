package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/certs"
)

// Secrets of the installation. Those of parts are of type kubernetes.io/tls and hold the authority too.
const (
	secretCA         = "ms2m-ca"
	secretAgent      = "ms2m-agent-tls"
	secretController = "ms2m-controller-tls"
	secretWebhook    = "ms2m-webhook-tls"

	keyCACert = "ca.crt"
	keyCAKey  = "ca.key"
)

// webhookName is the name of the Service and the MutatingWebhookConfiguration.
const (
	webhookService       = "ms2m-webhook"
	webhookConfiguration = "ms2m-pods"
)

const (
	// leafLifetime of the parts' certificates; they are renewed in the last third of it.
	leafLifetime = 90 * 24 * time.Hour
	// keepInterval is how often certificates are looked at.
	keepInterval = time.Minute
)

// certificates keeps the installation's Secrets filled and valid, and what this process needs of them in memory. Every
// replica does so, since every replica serves the webhook; the API server decides who is first.
type certificates struct {
	client    kubernetes.Interface
	namespace string
	now       func() time.Time
	held      atomic.Pointer[held]
}

type held struct {
	webhook    tls.Certificate
	controller tls.Certificate
	trust      *x509.CertPool
}

func (k *certificates) requests() map[string]certs.Request {
	return map[string]certs.Request{
		secretAgent: {CommonName: v1alpha1.AgentIdentity, DNSNames: []string{v1alpha1.AgentIdentity}},
		secretController: {CommonName: v1alpha1.ControllerIdentity, DNSNames: []string{v1alpha1.ControllerIdentity},
			Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		secretWebhook: {CommonName: webhookService, DNSNames: []string{webhookService + "." + k.namespace + ".svc"},
			Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (k *certificates) NeedLeaderElection() bool { return false }

// Start keeps the certificates until ctx ends.
func (k *certificates) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(keepInterval):
		}
		if err := k.ensure(ctx); err != nil {
			slog.ErrorContext(ctx, "Keeping certificates failed, trying again", "after", keepInterval, "error", err)
		}
	}
}

// ensure makes what is missing, renews what nears its end, and loads the result.
func (k *certificates) ensure(ctx context.Context) error {
	ca, err := k.authority(ctx)
	if err != nil {
		return err
	}
	next := &held{trust: x509.NewCertPool()}
	next.trust.AppendCertsFromPEM(ca.Cert)
	for name, request := range k.requests() {
		pair, err := k.leaf(ctx, ca, name, request)
		if err != nil {
			return err
		}
		switch name {
		case secretWebhook:
			next.webhook = pair
		case secretController:
			next.controller = pair
		}
	}
	k.held.Store(next)
	return k.trustWebhook(ctx, ca.Cert)
}

// authority returns the CA. Its Cert holds, after a renewal, also the certificate before, so that what was issued with
// that stays trusted until it is renewed in its own time.
func (k *certificates) authority(ctx context.Context) (*certs.CA, error) {
	secret, err := k.secret(ctx, secretCA, func(old *corev1.Secret) (*corev1.Secret, error) {
		var before []byte
		if old != nil {
			ca, err := certs.LoadCA(old.Data[keyCACert], old.Data[keyCAKey])
			if err != nil {
				return nil, fmt.Errorf("reading Secret %s (delete it to have a new one made): %w", secretCA, err)
			}
			before = firstBlock(ca.Cert)
			if cert, err := parse(before); err == nil && !k.expiring(cert) {
				return nil, nil
			}
		}
		ca, err := certs.NewCA("ms2m-ca")
		if err != nil {
			return nil, fmt.Errorf("making the authority: %w", err)
		}
		return &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{
			keyCACert: append(slices.Clone(ca.Cert), before...), keyCAKey: ca.Key,
		}}, nil
	})
	if err != nil {
		return nil, err
	}
	return certs.LoadCA(secret.Data[keyCACert], secret.Data[keyCAKey])
}

func (k *certificates) leaf(ctx context.Context, ca *certs.CA, name string, request certs.Request) (tls.Certificate, error) {
	request.Lifetime = leafLifetime
	secret, err := k.secret(ctx, name, func(old *corev1.Secret) (*corev1.Secret, error) {
		fresh := &corev1.Secret{Type: corev1.SecretTypeTLS}
		if old != nil && k.good(old.Data[corev1.TLSCertKey], old.Data[corev1.TLSPrivateKeyKey], ca, request) {
			if bytes.Equal(old.Data[keyCACert], ca.Cert) {
				return nil, nil
			}
			fresh.Data = map[string][]byte{
				corev1.TLSCertKey: old.Data[corev1.TLSCertKey], corev1.TLSPrivateKeyKey: old.Data[corev1.TLSPrivateKeyKey], keyCACert: ca.Cert,
			}
			return fresh, nil
		}
		pair, err := ca.Issue(request)
		if err != nil {
			return nil, fmt.Errorf("issuing the certificate of %s: %w", request.CommonName, err)
		}
		fresh.Data = map[string][]byte{corev1.TLSCertKey: pair.Cert, corev1.TLSPrivateKeyKey: pair.Key, keyCACert: ca.Cert}
		return fresh, nil
	})
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	return pair, nil
}

// good reports whether the certificate will do for a while.
func (k *certificates) good(cert, key []byte, ca *certs.CA, request certs.Request) bool {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil || k.expiring(pair.Leaf) || !slices.Equal(pair.Leaf.DNSNames, request.DNSNames) {
		return false
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(ca.Cert)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: trust, CurrentTime: k.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// expiring reports whether less than a third of the certificate's life is left.
func (k *certificates) expiring(cert *x509.Certificate) bool {
	return cert.NotAfter.Sub(k.now()) < cert.NotAfter.Sub(cert.NotBefore)/3
}

// secret returns the named Secret after renew, which is given what there is, nil for nothing, and answers with what
// shall replace it, nil for no change. When another replica writes at the same time, its Secret is looked at instead.
func (k *certificates) secret(ctx context.Context, name string, renew func(old *corev1.Secret) (*corev1.Secret, error)) (*corev1.Secret, error) {
	secrets := k.client.CoreV1().Secrets(k.namespace)
	for range 10 {
		old, err := secrets.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			old = nil
		} else if err != nil {
			return nil, fmt.Errorf("reading Secret %s: %w", name, err)
		}
		fresh, err := renew(old)
		if err != nil {
			return nil, err
		}
		if fresh == nil {
			return old, nil
		}
		fresh.ObjectMeta = metav1.ObjectMeta{Namespace: k.namespace, Name: name}
		if old == nil {
			fresh, err = secrets.Create(ctx, fresh, metav1.CreateOptions{})
		} else {
			fresh.ResourceVersion, fresh.Type = old.ResourceVersion, old.Type
			fresh, err = secrets.Update(ctx, fresh, metav1.UpdateOptions{})
		}
		switch {
		case err == nil:
			slog.InfoContext(ctx, "Certificate written", "secret", name)
			return fresh, nil
		case !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("writing Secret %s: %w", name, err)
		}
	}
	return nil, fmt.Errorf("writing Secret %s: others write it all the time", name)
}

// trustWebhook tells the API server by which authority it knows the webhook.
func (k *certificates) trustWebhook(ctx context.Context, ca []byte) error {
	configurations := k.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	config, err := configurations.Get(ctx, webhookConfiguration, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading MutatingWebhookConfiguration %s (is it installed?): %w", webhookConfiguration, err)
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	var patch []operation
	for i, w := range config.Webhooks {
		if !bytes.Equal(w.ClientConfig.CABundle, ca) {
			patch = append(patch,
				operation{"test", fmt.Sprintf("/webhooks/%d/name", i), w.Name},
				operation{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), ca})
		}
	}
	if len(patch) == 0 {
		return nil
	}
	raw, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encoding the patch of MutatingWebhookConfiguration %s: %w", webhookConfiguration, err)
	}
	if _, err := configurations.Patch(ctx, webhookConfiguration, types.JSONPatchType, raw, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("writing the authority into MutatingWebhookConfiguration %s: %w", webhookConfiguration, err)
	}
	return nil
}

// webhookTLS makes c serve with the newest certificate.
func (k *certificates) webhookTLS(c *tls.Config) {
	c.MinVersion = tls.VersionTLS13
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		h := k.held.Load()
		if h == nil {
			return nil, errors.New("the webhook has no certificate yet")
		}
		return &h.webhook, nil
	}
}

// agentTLS is the configuration with which the controller calls agents.
func (k *certificates) agentTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: v1alpha1.AgentIdentity,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &k.held.Load().controller, nil
		},
		// VerifyConnection verifies in its place, with the authority as it is now.
		InsecureSkipVerify: true, // #nosec G402
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: k.held.Load().trust, DNSName: s.ServerName})
			return err
		},
	}
}

func firstBlock(text []byte) []byte {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	return pem.EncodeToMemory(block)
}

func parse(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("decoding certificate: not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
