package amqp

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func body(n int) []byte {
	return begin(nil, FrameBody, 1).raw(bytes.Repeat([]byte{byte(n)}, n)).end()
}

// TestBufferedFramesStay: what Buffered announces leaves the frames before it as they are, one behind the other.
func TestBufferedFramesStay(t *testing.T) {
	var sent []byte
	for n := range 3000 {
		sent = append(sent, body(n%70)...)
	}
	r := NewReader(bytes.NewReader(sent))
	for len(sent) > 0 {
		first, err := r.Next()
		require.NoError(t, err)
		together := first.Raw
		for r.Buffered() {
			f, err := r.Next()
			require.NoError(t, err)
			together = together[:len(together)+len(f.Raw)]
			require.Same(t, &f.Raw[0], &together[len(together)-len(f.Raw)])
		}
		require.True(t, bytes.HasPrefix(sent, together))
		sent = sent[len(together):]
	}
	_, err := r.Next()
	require.ErrorIs(t, err, io.EOF)
}

// TestBufferGrowsAndShrinks with the frames, within bounds.
func TestBufferGrowsAndShrinks(t *testing.T) {
	sizes := []int{10, 40 << 10, 10, 200 << 10, 10, 1 << 20, 10, 10}
	most := []int{readAhead, readMost, readMost, readMost, readMost, 1<<20 + Overhead, 1<<20 + Overhead, readAhead}
	var sent [][]byte
	for _, n := range sizes {
		sent = append(sent, body(n))
	}
	// One read for each frame.
	var sources []io.Reader
	for _, b := range sent {
		sources = append(sources, bytes.NewReader(b))
	}
	r := NewReader(io.MultiReader(sources...))
	r.SetMax(0)
	for i, b := range sent {
		f, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, b, f.Raw)
		require.LessOrEqual(t, len(r.buf), most[i])
	}
}
