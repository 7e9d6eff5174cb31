package delivery

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

const (
	migration = "migration"
	pod       = "11111111-2222-3333-4444-555555555555"
	container = "app"
)

// checkpoint writes an archive with so many bytes of memory.
func checkpoint(t *testing.T, memory int, more ...tar.Header) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "archive.tar")
	f, err := os.Create(file) //nolint:gosec // a test's
	require.NoError(t, err)
	w := tar.NewWriter(f)
	pages := make([]byte, memory)
	_, _ = rand.Read(pages)
	for name, content := range map[string][]byte{
		"checkpoint/inventory.img": nil, "checkpoint/descriptors.json": []byte("[]"), "checkpoint/pages-1.img": pages,
		"config.dump": []byte("{}"), "spec.dump": []byte("{}"),
	} {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content))}))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	for _, h := range more {
		require.NoError(t, w.WriteHeader(&h))
	}
	require.NoError(t, errors.Join(w.Close(), f.Close()))
	return file
}

// target is an agent that receives, with an expected ticket.
type target struct {
	*httptest.Server
	tickets *fcc.Store
	// before may spoil a request; it tells whether it has answered.
	before func(attempt int32, w http.ResponseWriter, r *http.Request) bool
	calls  atomic.Int32
}

func newTarget(t *testing.T) *target {
	t.Helper()
	x := &target{tickets: fcc.NewStore(t.TempDir())}
	_, err := x.tickets.Put(migration, pod, container)
	require.NoError(t, err)
	receiver := &Receiver{Tickets: x.tickets}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := x.calls.Add(1)
		if x.before != nil && x.before(n, w, r) {
			return
		}
		bytes, _ := strconv.ParseInt(r.Header.Get(HeaderBytes), 10, 64)
		_, err := receiver.Receive(Incoming{
			Migration: r.Header.Get(HeaderMigration), PodUID: pod, Container: container, Bytes: bytes, Body: r.Body,
			Digest: func() string { return r.Trailer.Get(TrailerDigest) },
		})
		if err != nil {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, err.Error(), http.StatusConflict)
		}
	}))
	t.Cleanup(x.Close)
	return x
}

func (x *target) state(t *testing.T) fcc.Ticket {
	t.Helper()
	ticket, err := x.tickets.Get(pod, container)
	require.NoError(t, err)
	return ticket
}

// requireClean asserts that no part of a delivery is left.
func (x *target) requireClean(t *testing.T) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(x.tickets.Folder(pod, container), partial+"*"))
	require.NoError(t, err)
	require.Empty(t, parts)
}

func TestDelivery(t *testing.T) {
	x, file := newTarget(t), checkpoint(t, 3<<20)
	s := &Sender{HTTP: x.Client()}
	n, digest, err := s.Send(t.Context(), x.URL, migration, file)
	require.NoError(t, err)
	ticket := x.state(t)
	require.Equal(t, fcc.TicketReady, ticket.State)
	require.Equal(t, digest, ticket.Digest)
	require.Equal(t, n, ticket.Bytes)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, info.Size(), n)
	require.FileExists(t, filepath.Join(x.tickets.Archive(pod, container), "checkpoint/pages-1.img"))
	x.requireClean(t)
	// The acknowledgement was lost: the same archive is fine, another is not.
	_, _, err = s.Send(t.Context(), x.URL, migration, file)
	require.NoError(t, err)
	_, _, err = s.Send(t.Context(), x.URL, migration, checkpoint(t, 1000))
	require.ErrorContains(t, err, "another one")
	require.Equal(t, digest, x.state(t).Digest)
}

func TestBrokenConnectionSendsAgainWhole(t *testing.T) {
	x := newTarget(t)
	x.before = func(attempt int32, _ http.ResponseWriter, r *http.Request) bool {
		if attempt > 2 {
			return false
		}
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		panic(http.ErrAbortHandler) // cuts the connection
	}
	_, _, err := (&Sender{HTTP: x.Client()}).Send(t.Context(), x.URL, migration, checkpoint(t, 3<<20))
	require.NoError(t, err)
	require.EqualValues(t, 3, x.calls.Load())
	require.Equal(t, fcc.TicketReady, x.state(t).State)
}

func TestStalledConnectionSendsAgainWhole(t *testing.T) {
	x, vanished := newTarget(t), make(chan struct{})
	x.before = func(attempt int32, _ http.ResponseWriter, r *http.Request) bool {
		if attempt > 1 {
			return false
		}
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		<-vanished
		return true
	}
	s := &Sender{HTTP: x.Client(), Stall: 2 * time.Second}
	_, _, err := s.Send(t.Context(), x.URL, migration, checkpoint(t, 16<<20))
	close(vanished)
	require.NoError(t, err)
	require.Greater(t, x.calls.Load(), int32(1))
}

func TestRefusedDeliveriesLeaveNothing(t *testing.T) {
	hostile := tar.Header{Name: "container.log", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}
	for name, c := range map[string]struct {
		migration string
		file      string
		before    func(int32, http.ResponseWriter, *http.Request) bool
		reason    string
	}{
		"hostile":           {migration, checkpoint(t, 2<<20, hostile), nil, "symbolic link"},
		"another migration": {"other", checkpoint(t, 10), nil, "another migration"},
		"changed on its way": {migration, checkpoint(t, 2<<20), func(_ int32, _ http.ResponseWriter, r *http.Request) bool {
			r.Body = io.NopCloser(&flip{r: r.Body, at: 1 << 20})
			return false
		}, "digest differs"},
		"no room": {migration, checkpoint(t, 10), func(_ int32, _ http.ResponseWriter, r *http.Request) bool {
			r.Header.Set(HeaderBytes, strconv.FormatInt(1<<60, 10))
			return false
		}, "not enough room"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTarget(t)
			x.before = c.before
			_, _, err := (&Sender{HTTP: x.Client()}).Send(t.Context(), x.URL, c.migration, c.file)
			var rejected *RejectedError
			require.ErrorAs(t, err, &rejected)
			require.ErrorContains(t, err, c.reason)
			require.EqualValues(t, 1, x.calls.Load(), "a refusal is not tried again")
			require.Equal(t, fcc.TicketExpected, x.state(t).State)
			x.requireClean(t)
		})
	}
}

// flip changes one byte of a stream.
type flip struct {
	r      io.Reader
	at, on int
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.on <= f.at && f.at < f.on+n {
		p[f.at-f.on] ^= 1
	}
	f.on += n
	return n, err
}

func TestPartialDeliveryIsReplaced(t *testing.T) {
	x := newTarget(t)
	left := filepath.Join(x.tickets.Folder(pod, container), partial+"of-a-dead-agent")
	require.NoError(t, os.MkdirAll(filepath.Join(left, "checkpoint"), 0o700))
	_, _, err := (&Sender{HTTP: x.Client()}).Send(t.Context(), x.URL, migration, checkpoint(t, 10))
	require.NoError(t, err)
	x.requireClean(t)
}

func TestBandwidthIsLimited(t *testing.T) {
	x := newTarget(t)
	s := &Sender{HTTP: x.Client(), Limit: rate.NewLimiter(4<<20, chunk)}
	started := time.Now()
	_, _, err := s.Send(t.Context(), x.URL, migration, checkpoint(t, 2<<20))
	require.NoError(t, err)
	require.Greater(t, time.Since(started), 300*time.Millisecond, "2 MiB at 4 MiB/s")
}

func TestSendEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	x := newTarget(t)
	x.before = func(int32, http.ResponseWriter, *http.Request) bool {
		cancel()
		panic(http.ErrAbortHandler)
	}
	_, _, err := (&Sender{HTTP: x.Client()}).Send(ctx, x.URL, migration, checkpoint(t, 10))
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 1, x.calls.Load())
}

func TestMissingFile(t *testing.T) {
	x := newTarget(t)
	_, _, err := (&Sender{HTTP: x.Client()}).Send(t.Context(), x.URL, migration, filepath.Join(t.TempDir(), "gone"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTruncatedStream(t *testing.T) {
	x, file := newTarget(t), checkpoint(t, 1<<20)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	receiver := &Receiver{Tickets: x.tickets}
	for _, cut := range []int{0, 100, 512, len(b) / 2, len(b) - 600} {
		_, err := receiver.Receive(Incoming{
			Migration: migration, PodUID: pod, Container: container,
			Body: bytes.NewReader(b[:cut]), Digest: func() string { return "" },
		})
		require.Error(t, err, "cut at %d", cut)
		require.Equal(t, fcc.TicketExpected, x.state(t).State)
		x.requireClean(t)
	}
}
