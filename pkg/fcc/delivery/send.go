// Package delivery carries a checkpoint archive from the agent of the source's node to the agent of the target's node:
// one stream, unpacked while it is received, its SHA-256 in the trailer. A broken connection is answered by sending the
// whole archive again; the receiver forgets what it had.
package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// Headers of a delivery.
const (
	// HeaderMigration names the migration; the receiver compares it with its ticket's.
	HeaderMigration = "Ms2m-Migration"
	// HeaderBytes is the size of the archive, so that a full disk is found before it is full.
	HeaderBytes = "Ms2m-Bytes"
	// TrailerDigest is "sha256:" and the hexadecimal digest of the body.
	TrailerDigest = "Digest"
)

const (
	attempts  = 4
	firstWait = 200 * time.Millisecond // doubled after each attempt
	chunk     = 256 << 10
)

var errStalled = errors.New("no progress")

// defaultStall is how long the connection may make no progress before it counts as broken.
const defaultStall = 30 * time.Second

// RejectedError is the receiver's refusal of a delivery; sending again would not help.
type RejectedError struct {
	Status  int
	Message string
}

func (e *RejectedError) Error() string { return "target's agent refuses archive: " + e.Message }

// Sender streams archives.
type Sender struct {
	HTTP *http.Client
	// Limit of the bandwidth in bytes, nil for none. Its burst must be at least 256 KiB.
	Limit *rate.Limiter
	// Stall is how long a connection may make no progress before it counts as broken. Default 30 seconds.
	Stall time.Duration
}

// Send streams the file to the URL of its ticket's archive and returns its size and digest once the receiver has
// acknowledged them.
func (s *Sender) Send(ctx context.Context, url, migration, file string) (int64, string, error) {
	wait := firstWait
	for attempt := 1; ; attempt++ {
		n, digest, err := s.once(ctx, url, migration, file)
		var rejected *RejectedError
		if err == nil || errors.As(err, &rejected) || errors.Is(err, os.ErrNotExist) || attempt == attempts {
			return n, digest, err
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return 0, "", errors.Join(err, ctx.Err())
		}
	}
}

func (s *Sender) once(ctx context.Context, url, migration, file string) (int64, string, error) {
	f, err := os.Open(file) // #nosec G304 -- an archive that the kubelet named
	if err != nil {
		return 0, "", fmt.Errorf("opening archive: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	info, err := f.Stat()
	if err != nil {
		return 0, "", fmt.Errorf("opening archive: %w", err)
	}
	// A node that vanishes answers nothing, and the kernel would try for a quarter of an hour.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := s.Stall
	if stall == 0 {
		stall = defaultStall
	}
	watchdog := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watchdog.Stop()
	body := &outgoing{ctx: ctx, file: f, hash: sha256.New(), limit: s.Limit, trailer: http.Header{TrailerDigest: nil}, stall: stall, watchdog: watchdog}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return 0, "", fmt.Errorf("sending archive: %w", err)
	}
	req.Trailer = body.trailer
	// A refusal that needs no look at the archive arrives before any of it is sent.
	req.Header.Set("Expect", "100-continue")
	req.Header.Set(HeaderMigration, migration)
	req.Header.Set(HeaderBytes, strconv.FormatInt(info.Size(), 10))
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("sending archive: %w", errors.Join(err, context.Cause(ctx)))
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	switch {
	case resp.StatusCode/100 == 4:
		return 0, "", &RejectedError{Status: resp.StatusCode, Message: string(answer)}
	case resp.StatusCode != http.StatusOK:
		return 0, "", fmt.Errorf("sending archive: target's agent answers %s: %s", resp.Status, answer)
	case err != nil:
		return 0, "", fmt.Errorf("sending archive: %w", err)
	}
	return body.sent, body.digest(), nil
}

// outgoing reads the file for the request, counts and digests it, and sets the trailer at its end.
type outgoing struct {
	ctx     context.Context
	file    *os.File
	hash    hash.Hash
	limit   *rate.Limiter
	trailer http.Header
	sent    int64
	// watchdog ends the attempt unless each read comes in time.
	watchdog *time.Timer
	stall    time.Duration
}

func (o *outgoing) Read(p []byte) (int, error) {
	o.watchdog.Reset(o.stall)
	if len(p) > chunk {
		p = p[:chunk]
	}
	n, err := o.file.Read(p)
	o.hash.Write(p[:n])
	o.sent += int64(n)
	if errors.Is(err, io.EOF) {
		o.trailer.Set(TrailerDigest, o.digest())
	}
	if n > 0 && o.limit != nil {
		if werr := o.limit.WaitN(o.ctx, n); werr != nil {
			return 0, werr
		}
	}
	return n, err
}

// Close is the transport's; the file is closed when the attempt is over.
func (o *outgoing) Close() error { return nil }

func (o *outgoing) digest() string { return "sha256:" + hex.EncodeToString(o.hash.Sum(nil)) }
