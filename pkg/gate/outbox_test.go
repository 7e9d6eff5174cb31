package gate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestOutboxKeepsOrder: what the reader passes and what others put arrives whole, and each in its order. The reader uses
// its buffer again, as readers do.
func TestOutboxKeepsOrder(t *testing.T) {
	const each = 5000
	ours, theirs := net.Pipe()
	o := newOutbox()
	o.w = ours
	var put, all errgroup.Group
	put.Go(func() error {
		buf := make([]byte, 16*frameSize)
		for n := uint32(0); n < each; {
			o.begin()
			for i := rand.IntN(3); i < 16 && n < each; i += 1 + rand.IntN(2) {
				o.put(numbered(buf[i*frameSize:], 'r', n))
				n++
			}
			o.commit()
			o.flush()
			clear(buf)
		}
		return nil
	})
	put.Go(func() error {
		for n := range uint32(each) {
			o.put(numbered(make([]byte, frameSize), 'o', n))
		}
		return nil
	})
	all.Go(func() error {
		err := o.run()
		return errors.Join(err, ours.Close())
	})
	all.Go(func() error {
		err := put.Wait()
		o.close()
		return err
	})
	next := map[byte]uint32{}
	for {
		var b [frameSize]byte
		if _, err := io.ReadFull(theirs, b[:]); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		require.Equal(t, next[b[0]], binary.BigEndian.Uint32(b[1:]), "from %c", b[0])
		next[b[0]]++
	}
	require.NoError(t, all.Wait())
	require.Equal(t, map[byte]uint32{'r': each, 'o': each}, next)
}

const frameSize = 5

func numbered(b []byte, source byte, n uint32) []byte {
	b[0] = source
	binary.BigEndian.PutUint32(b[1:], n)
	return b[:frameSize]
}

// TestBatchesAreNotCopied, and written at once, as long as frames pass as they came.
func TestBatchesAreNotCopied(t *testing.T) {
	w := &writes{}
	o := newOutbox()
	o.w = w
	buf := []byte("firstsecondthird")
	o.begin()
	o.put(buf[:5])
	o.put(buf[5:11])
	o.put(buf[11:])
	o.commit()
	o.flush()
	require.Equal(t, [][]byte{buf}, w.all)
	require.Same(t, &buf[0], &w.all[0][0])

	w.all = nil
	o.begin()
	o.put(buf[:5])
	o.put(buf[11:])
	o.put([]byte("other"))
	o.commit()
	o.flush()
	require.Equal(t, "firstthirdother", string(bytes.Join(w.all, nil)))
}

type writes struct{ all [][]byte }

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, b)
	return len(b), nil
}

// TestBatchIsYielded: a reader that must wait within a batch leaves writing what came before to others.
func TestBatchIsYielded(t *testing.T) {
	ours, theirs := net.Pipe()
	o := newOutbox()
	o.w = ours
	ended := make(chan error, 1)
	go func() { ended <- o.run() }()
	o.begin()
	o.put([]byte("yielded"))
	o.yield()
	b := make([]byte, 7)
	_, err := io.ReadFull(theirs, b)
	require.NoError(t, err)
	require.Equal(t, "yielded", string(b))
	o.close()
	require.NoError(t, <-ended)
}

// TestOutboxThatFailsEnds: also when the reader was the one who wrote.
func TestOutboxThatFailsEnds(t *testing.T) {
	ours, theirs := net.Pipe()
	require.NoError(t, theirs.Close())
	o := newOutbox()
	o.w = ours
	ended := make(chan error, 1)
	go func() { ended <- o.run() }()
	o.begin()
	o.put([]byte("lost"))
	o.commit()
	o.flush()
	require.ErrorIs(t, <-ended, io.ErrClosedPipe)
	o.put([]byte("lost, too"))
	o.flush()
}
