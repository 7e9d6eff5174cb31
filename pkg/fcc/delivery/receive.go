package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/archive"
)

// Errors of a reception besides those of the ticket store and *archive.RefusedError.
var (
	ErrDigest = errors.New("archive was changed or cut off on its way: its digest differs")
	ErrNoRoom = errors.New("not enough room on the target's disk")
)

// partial is the prefix of the folders that archives are unpacked into while they arrive.
const partial = "partial-"

// spare stays free on the disk beside an archive.
const spare = 64 << 20

// Incoming is one delivery as it arrives.
type Incoming struct {
	Migration, PodUID, Container string
	// Bytes as announced, 0 if unknown.
	Bytes int64
	Body  io.Reader
	// Digest as announced; it is called after Body has been read to its end.
	Digest func() string
}

// Receiver unpacks deliveries into the folders of their tickets.
type Receiver struct {
	Tickets *fcc.Store
	Limits  archive.Limits
}

// Receive unpacks the delivery while it arrives, verifies its digest and makes its ticket ready. Whatever goes wrong,
// nothing of it stays. An archive that the ticket already has is acknowledged again.
func (r *Receiver) Receive(in Incoming) (fcc.Ticket, error) {
	t, err := r.Tickets.Get(in.PodUID, in.Container)
	if err != nil {
		return t, fmt.Errorf("receiving archive: %w", err)
	}
	if t.Migration != in.Migration {
		return t, fmt.Errorf("receiving archive of migration %s: ticket is migration %s's: %w", in.Migration, t.Migration, fcc.ErrMigration)
	}
	sum := &counter{hash: sha256.New()}
	body := io.TeeReader(in.Body, sum)
	if t.State != fcc.TicketExpected {
		return t, r.again(t, in, body, sum)
	}
	folder, err := r.prepare(in)
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // gone after success; else the ticket's removal tries again
	if err := archive.Unpack(body, folder, r.Limits); err != nil {
		return t, fmt.Errorf("receiving archive: %w", err)
	}
	if err := sum.check(in.Digest()); err != nil {
		return t, err
	}
	return r.Tickets.Ready(in.Migration, in.PodUID, in.Container, folder, sum.digest(), sum.bytes)
}

// prepare makes an empty folder in place of those of broken deliveries.
func (r *Receiver) prepare(in Incoming) (string, error) {
	ticket := r.Tickets.Folder(in.PodUID, in.Container)
	var fs unix.Statfs_t
	if err := unix.Statfs(ticket, &fs); err != nil {
		return "", fmt.Errorf("receiving archive: %w", err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < in.Bytes+spare { //nolint:gosec // no disk has 2^63 bytes
		return "", fmt.Errorf("receiving archive of %d bytes: %d are free: %w", in.Bytes, free, ErrNoRoom)
	}
	old, err := filepath.Glob(filepath.Join(ticket, partial+"*"))
	if err != nil {
		return "", fmt.Errorf("receiving archive: %w", err)
	}
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", fmt.Errorf("removing broken delivery: %w", err)
		}
	}
	folder, err := os.MkdirTemp(ticket, partial)
	if err != nil {
		return "", fmt.Errorf("receiving archive: %w", err)
	}
	return folder, nil
}

// again answers a delivery whose acknowledgement was lost: the same archive is fine, another is not.
func (r *Receiver) again(t fcc.Ticket, in Incoming, body io.Reader, sum *counter) error {
	if t.Digest == "" {
		return fmt.Errorf("receiving archive: ticket is %s: %s: %w", t.State, t.Reason, fcc.ErrState)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(body, t.Bytes+1)); err != nil {
		return fmt.Errorf("receiving archive: %w", err)
	}
	if err := sum.check(t.Digest); err != nil {
		return fmt.Errorf("receiving archive: ticket is %s with another one: %w", t.State, fcc.ErrState)
	}
	return nil
}

// counter counts and digests what is written to it.
type counter struct {
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	bytes int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return c.hash.Write(p)
}

func (c *counter) digest() string { return "sha256:" + hex.EncodeToString(c.hash.Sum(nil)) }

func (c *counter) check(announced string) error {
	if announced != c.digest() {
		return fmt.Errorf("receiving archive: %w: announced %q, received %q", ErrDigest, announced, c.digest())
	}
	return nil
}
