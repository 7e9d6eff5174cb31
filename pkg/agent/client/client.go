package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// Client of the agent of one node.
type Client struct {
	// Address of the agent, host:port.
	Address string
	http    *http.Client
}

// Error is an agent's refusal. Those with a code below 500 do not go away by themselves.
type Error struct {
	// Code is the HTTP status code.
	Code int `json:"-"`
	// Message for people.
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// New returns a client of the agent at address (host:port); see Identity for the configuration.
func New(address string, config *tls.Config) *Client {
	return &Client{Address: address, http: NewHTTP(config)}
}

// NewHTTP returns the HTTP client with which agents are called; it has buffers for archives.
func NewHTTP(config *tls.Config) *http.Client {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		// A node that vanishes while an answer is awaited is noticed.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 5},
	}
	return &http.Client{Transport: &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   10 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   8,
		WriteBufferSize:       256 << 10,
		ExpectContinueTimeout: 10 * time.Second,
	}}
}

// Gate returns a client of the gate of a pod on the agent's node. Its refusals are *control.Error.
func (c *Client) Gate(podUID string) *control.Client {
	return &control.Client{HTTP: c.http, Base: c.url(PathGate + url.PathEscape(podUID))}
}

// Checkpoint makes the kubelet checkpoint a container of a prepared pod, which goes on running.
func (c *Client) Checkpoint(ctx context.Context, r CheckpointRequest) (Checkpoint, error) {
	var out Checkpoint
	return out, c.call(ctx, http.MethodPost, PathCheckpoints, r, &out)
}

// DeleteCheckpoints removes the archives and records of a migration.
func (c *Client) DeleteCheckpoints(ctx context.Context, migration string) error {
	return c.call(ctx, http.MethodDelete, PathCheckpoints+"/"+url.PathEscape(migration), nil, nil)
}

// Deliver makes the agent stream a checkpoint to the target's agent, and answers when it is unpacked there.
func (c *Client) Deliver(ctx context.Context, r DeliveryRequest) (Delivery, error) {
	var out Delivery
	return out, c.call(ctx, http.MethodPost, PathDeliveries, r, &out)
}

// PutTicket makes an expected ticket for a container of a pod of the agent's node, or returns the one that the
// migration has there.
func (c *Client) PutTicket(ctx context.Context, migration, podUID, container string) (Ticket, error) {
	var out Ticket
	in := fcc.Ticket{Migration: migration, PodUID: podUID, Container: container}
	return out, c.call(ctx, http.MethodPut, ticketPath(podUID, container), in, &out)
}

// GetTicket reads a ticket. An *Error of code 404 means that there is none.
func (c *Client) GetTicket(ctx context.Context, podUID, container string) (Ticket, error) {
	var out Ticket
	return out, c.call(ctx, http.MethodGet, ticketPath(podUID, container), nil, &out)
}

// CommitTicket consumes the checkpoint: from here on a crash starts the image afresh. Only a ticket whose container was
// restored can be committed, even if the container has ended since.
func (c *Client) CommitTicket(ctx context.Context, podUID, container string) (Ticket, error) {
	var out Ticket
	return out, c.call(ctx, http.MethodPost, ticketPath(podUID, container)+"/commit", nil, &out)
}

// DeleteTicket withdraws a ticket and wipes its archive: unless it was committed, the container will never start, and a
// runtime wrapper that waits for the ticket gives up at once, so that the pod can end. It may be repeated, and there
// need not be a ticket. What is left of it goes with the pod.
func (c *Client) DeleteTicket(ctx context.Context, podUID, container string) error {
	return c.call(ctx, http.MethodDelete, ticketPath(podUID, container), nil, nil)
}

// Node tells whether the node can be source or target.
func (c *Client) Node(ctx context.Context) (Node, error) {
	var out Node
	return out, c.call(ctx, http.MethodGet, PathNode, nil, &out)
}

func ticketPath(podUID, container string) string {
	return PathTickets + "/" + url.PathEscape(podUID) + "/" + url.PathEscape(container)
}

func (c *Client) url(path string) string { return "https://" + c.Address + path }

// call returns an *Error when the agent refused.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding request for agent: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url(path), body)
	if err != nil {
		return fmt.Errorf("making request for agent: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("calling agent: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading answer of agent: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		refused := &Error{Code: resp.StatusCode}
		if json.Unmarshal(b, refused) != nil || refused.Message == "" {
			refused.Message = fmt.Sprintf("agent at %s answers %s: %.200s", c.Address, resp.Status, b)
		}
		return refused
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decoding answer of agent: %w", err)
	}
	return nil
}
