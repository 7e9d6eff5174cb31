package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Paths of the control API. Status is read with GET, everything else is a POST of its request as JSON.
const (
	PathStatus   = "/v1/status"
	PathInspect  = "/v1/inspect"
	PathHold     = "/v1/hold"
	PathRelease  = "/v1/release"
	PathHandOver = "/v1/handover"
	PathResume   = "/v1/resume"
	PathFence    = "/v1/fence"
	PathReplay   = "/v1/replay"
	PathCommit   = "/v1/commit"
)

// Client of one gate. The zero HTTP client is http.DefaultClient.
type Client struct {
	HTTP *http.Client
	// Base URL before the paths of the API.
	Base string
}

// NewUnixClient returns a client of the gate that listens on the unix socket.
func NewUnixClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{HTTP: &http.Client{Transport: &http.Transport{DialContext: dial}}, Base: "http://gate"}
}

// Status reads the gate's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, PathStatus, nil, &s)
}

// Inspect lets the gate ask the broker what queues the app consumes, and reads its status with what that refuses.
func (c *Client) Inspect(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodPost, PathInspect, struct{}{}, &s)
}

// Hold waits until the app stands between two messages.
func (c *Client) Hold(ctx context.Context, r HoldRequest) (Cut, error) {
	var cut Cut
	return cut, c.call(ctx, http.MethodPost, PathHold, r, &cut)
}

// Release ends the hold of a cut and starts the log.
func (c *Client) Release(ctx context.Context, r ReleaseRequest) error {
	return c.call(ctx, http.MethodPost, PathRelease, r, nil)
}

// HandOver cancels the source's consumers, drains it and appends END. It answers when END is confirmed.
func (c *Client) HandOver(ctx context.Context, r Command) error {
	return c.call(ctx, http.MethodPost, PathHandOver, r, nil)
}

// Resume takes the source back: it consumes where it stopped, and the log is deleted.
func (c *Client) Resume(ctx context.Context, r Command) error {
	return c.call(ctx, http.MethodPost, PathResume, r, nil)
}

// Fence closes a superseded source for good.
func (c *Client) Fence(ctx context.Context, r Command) error {
	return c.call(ctx, http.MethodPost, PathFence, r, nil)
}

// Replay lets a target's gate serve the log.
func (c *Client) Replay(ctx context.Context, r ReplayRequest) error {
	return c.call(ctx, http.MethodPost, PathReplay, r, nil)
}

// Commit makes a target, whose replay is verified, the active instance, and deletes the log.
func (c *Client) Commit(ctx context.Context, r Command) error {
	return c.call(ctx, http.MethodPost, PathCommit, r, nil)
}

// call returns an *Error when the gate refused.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding request for gate: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return fmt.Errorf("making request for gate: %w", err)
	}
	hc := c.HTTP
	if hc == nil {
		hc = http.DefaultClient
	}
	resp, err := hc.Do(req)
	if err != nil {
		return fmt.Errorf("calling gate: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading answer of gate: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		refused := &Error{}
		if json.Unmarshal(b, refused) == nil && refused.Reason != "" {
			return refused
		}
		return fmt.Errorf("calling gate: %s: %.200s", resp.Status, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("decoding answer of gate: %w", err)
	}
	return nil
}
