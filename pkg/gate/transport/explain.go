package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Explain an error of TLS: in words that tell what to do. Other errors stay as they are.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("the broker's certificate was not issued by the authority in ca.crt: put the authority of the broker into the Secret of annotation ms2m.dev/broker-tls: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the broker's certificate is for %s, not for %s: write the broker's name in annotation ms2m.dev/broker-tls-name: %w", names(name.Certificate), name.Host, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Errorf("%s: %w", outdated(invalid.Cert), err)
	case errors.As(err, &record):
		return fmt.Errorf("what listens there does not speak TLS: write the broker's TLS port in annotation ms2m.dev/broker-tls-port: %w", err)
	}
	if why := refused(err.Error()); why != "" {
		return fmt.Errorf("%s: %w", why, err)
	}
	return err
}

// names of a certificate.
func names(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "nobody (it has no subject alternative name)"
	}
	return strings.Join(all, ", ")
}

func outdated(c *x509.Certificate) string {
	if time.Now().Before(c.NotBefore) {
		return fmt.Sprintf("the certificate %q is not valid before %s: look at the clocks of broker and node", c.Subject, c.NotBefore.Format(time.RFC3339))
	}
	return fmt.Sprintf("the certificate %q expired at %s: renew it at the broker", c.Subject, c.NotAfter.Format(time.RFC3339))
}

// refused says why the broker has refused the gate's own certificate. A broker may say so in the handshake or, from
// TLS 1.3 on, instead of its first answer; its alert has no type of its own.
func refused(text string) string {
	_, alert, ok := strings.Cut(text, "remote error: tls: ")
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(alert, "certificate required"), strings.HasPrefix(alert, "handshake failure"):
		return "the broker wants a certificate of its clients: put tls.crt and tls.key into the Secret of annotation ms2m.dev/broker-tls"
	case strings.HasPrefix(alert, "expired certificate"):
		return "the broker finds the gate's certificate expired: renew tls.crt and tls.key in the Secret of annotation ms2m.dev/broker-tls"
	case strings.HasPrefix(alert, "unknown certificate authority"), strings.HasPrefix(alert, "bad certificate"),
		strings.HasPrefix(alert, "unsupported certificate"), strings.HasPrefix(alert, "unknown certificate"):
		return "the broker does not accept the gate's certificate: put tls.crt and tls.key of an authority that it trusts into the Secret of annotation ms2m.dev/broker-tls"
	}
	return ""
}
