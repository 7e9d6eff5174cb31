// Package kubelet asks the kubelet of this node for checkpoints of containers.
package kubelet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Port of the kubelet's API.
const Port = "10250"

// Client of the local kubelet. It needs the permission to create nodes/checkpoint.
type Client struct {
	base      string
	tokenFile string
	http      *http.Client
}

// Error is a refusal by the kubelet.
type Error struct {
	// Code is the kubelet's HTTP status code.
	Code int
	// Message says what is wrong and what to do, for people.
	Message string
}

func (e *Error) Error() string { return e.Message }

// New returns a client of the kubelet at hostIP. The bearer token is read anew from tokenFile for each call, as tokens
// are rotated. The kubelet must present exactly the certificate in certificateFile, self-signed or not, which is read
// anew for each connection.
func New(hostIP, tokenFile, certificateFile string) *Client {
	return NewAt("https://"+net.JoinHostPort(hostIP, Port), tokenFile, certificateFile)
}

// NewAt returns a client of the kubelet at a URL; see New.
func NewAt(base, tokenFile, certificateFile string) *Client {
	pin := func(state tls.ConnectionState) error { return checkPin(state, certificateFile) }
	// The pinned certificate is stronger than a chain and a name, which most kubelets cannot show.
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: pin} // #nosec G402
	return &Client{
		base:      base,
		tokenFile: tokenFile,
		http:      &http.Client{Transport: &http.Transport{TLSClientConfig: config, IdleConnTimeout: time.Minute}},
	}
}

// checkPin compares the served certificate with the first in the file, byte by byte.
func checkPin(state tls.ConnectionState, file string) error {
	b, err := os.ReadFile(file) // #nosec G304 -- a configured file
	if err != nil {
		return fmt.Errorf("reading kubelet's certificate: %w", err)
	}
	block, _ := pem.Decode(b)
	for block != nil && block.Type != "CERTIFICATE" {
		block, b = pem.Decode(b)
	}
	if block == nil {
		return fmt.Errorf("reading kubelet's certificate: %s holds none", file)
	}
	if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
		return fmt.Errorf("kubelet shows another certificate than %s: %w", file, x509.UnknownAuthorityError{})
	}
	return nil
}

// Checkpoint asks for a checkpoint of a running container, which goes on running. It returns the archive's path on the
// node. A refusal is an *Error.
func (c *Client) Checkpoint(ctx context.Context, namespace, pod, container string) (string, error) {
	b, code, err := c.post(ctx, "/checkpoint/"+url.PathEscape(namespace)+"/"+url.PathEscape(pod)+"/"+url.PathEscape(container))
	if err != nil {
		return "", fmt.Errorf("asking kubelet for checkpoint: %w", err)
	}
	if code != http.StatusOK {
		return "", fmt.Errorf("asking kubelet for checkpoint: %w", classify(code, string(b)))
	}
	var answer struct {
		Items []string `json:"items"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || len(answer.Items) != 1 {
		return "", fmt.Errorf("reading kubelet's answer %.200q: it names no archive", b)
	}
	return answer.Items[0], nil
}

// Check asks for a checkpoint of a pod that cannot exist: nil means that the kubelet is reached, trusts us, permits
// checkpoints and knows the call.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.Checkpoint(ctx, "ms2m", "no.such.pod", "none")
	var refused *Error
	if errors.As(err, &refused) && refused.Code == http.StatusNotFound && strings.Contains(refused.Message, "does not exist") {
		return nil
	}
	return err
}

func (c *Client) post(ctx context.Context, path string) ([]byte, int, error) {
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return nil, 0, fmt.Errorf("reading service account token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return b, resp.StatusCode, err
}

// classify puts the kubelet's refusal into words.
func classify(code int, body string) *Error {
	body = strings.TrimSpace(body)
	e := &Error{Code: code}
	switch {
	case code == http.StatusUnauthorized:
		e.Message = "the kubelet does not accept the agent's service account token: enable authentication.webhook in the kubelet's configuration"
	case code == http.StatusForbidden:
		e.Message = "the kubelet forbids checkpoints: grant the agent's service account create on nodes/checkpoint: " + body
	case code == http.StatusNotFound && strings.Contains(body, "does not exist"):
		e.Message = body
	case code == http.StatusNotFound:
		e.Message = "the kubelet has no checkpoint call: enable its feature gate ContainerCheckpoint"
	case strings.Contains(body, "Unimplemented") || strings.Contains(body, "support not available"):
		e.Message = "the container runtime cannot checkpoint: it needs containerd 2.0 or later, or CRI-O with CRIU support, and criu on the node: " + body
	default:
		e.Message = fmt.Sprintf("the kubelet answers %d: %s", code, body)
	}
	return e
}
