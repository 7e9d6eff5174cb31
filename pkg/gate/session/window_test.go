package session

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWindow against a naive set.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Window
		var open []uint64
		last := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				last += rapid.Uint64Range(1, 5).Draw(t, "step")
				require.NoError(t, w.Add(last))
				open = append(open, last)
			},
			"skip": func(t *rapid.T) {
				last += rapid.Uint64Range(1, 5).Draw(t, "step")
				w.Skip(last)
			},
			"settle": func(t *rapid.T) {
				n, multiple := rapid.Uint64Range(0, last+3).Draw(t, "number"), rapid.Bool().Draw(t, "multiple")
				left := slices.DeleteFunc(slices.Clone(open), func(o uint64) bool { return o == n || multiple && o < n })
				require.Equal(t, len(open)-len(left), w.Settle(n, multiple))
				open = left
			},
			"write and read": func(t *rapid.T) {
				b, err := json.Marshal(w)
				require.NoError(t, err)
				w = Window{}
				require.NoError(t, json.Unmarshal(b, &w))
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(open), w.Len())
				require.Equal(t, last, w.Last())
				require.Equal(t, append([]uint64{}, open...), append([]uint64{}, w.Numbers()...))
				highest := uint64(0)
				for _, o := range open {
					require.True(t, w.Has(o))
					highest = o
				}
				require.Equal(t, highest, w.Highest())
				require.False(t, w.Has(last+1))
				require.Equal(t, append([]uint64{0}, open...)[len(open)], w.Highest())
			},
		})
	})
}

func TestWindowRefuses(t *testing.T) {
	var w Window
	require.NoError(t, w.Add(5))
	require.Error(t, w.Add(5))
	require.Error(t, w.Add(4))
	require.Error(t, w.Add(1<<40), "a gap that would need memory")
	require.Equal(t, 1, w.Settle(9, true))
	require.NoError(t, w.Add(1<<40))
}

// TestWindowStaysSmall: its memory is that of what is unsettled, not of what ever was.
func TestWindowStaysSmall(t *testing.T) {
	var w Window
	for n := uint64(1); n < 100_000; n++ {
		require.NoError(t, w.Add(n))
		if n > 10 {
			w.Settle(n-10, false)
		}
	}
	require.Less(t, cap(w.open), 256)
}
