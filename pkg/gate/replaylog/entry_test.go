package replaylog

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, raw := rapid.String(), rapid.SliceOf(rapid.Byte())
		want := &Entry{
			Seq:      rapid.Uint64().Draw(t, "seq"),
			Consumer: Consumer{Queue: text.Draw(t, "queue"), Tag: text.Draw(t, "tag"), Index: 1, Of: 3},
			Piped:    rapid.Bool().Draw(t, "piped"), Redelivered: rapid.Bool().Draw(t, "redelivered"),
			Exchange: text.Draw(t, "exchange"), RoutingKey: text.Draw(t, "key"),
			Properties: append([]byte{}, raw.Draw(t, "properties")...), Body: append([]byte{}, raw.Draw(t, "body")...),
		}
		got, end, err := Decode(want.Append(nil))
		require.NoError(t, err)
		require.Nil(t, end)
		require.Equal(t, want, got)
	})
}

func TestEndRoundTrip(t *testing.T) {
	want := &End{Entries: 3, Digest: Digest{}.Next([]byte("a")), Outputs: 2, Consumers: []Consumer{{Queue: "q", Tag: "t", Of: 1}}}
	b, err := want.Append(nil)
	require.NoError(t, err)
	entry, got, err := Decode(b)
	require.NoError(t, err)
	require.Nil(t, entry)
	require.Equal(t, want, got)
}

func TestDigestKnowsOrder(t *testing.T) {
	a, b := []byte("a"), []byte("b")
	require.NotEqual(t, Digest{}.Next(a).Next(b), Digest{}.Next(b).Next(a))
	require.NotEqual(t, Digest{}.Next(a), Digest{}.Next(a).Next(nil))
}

func FuzzDecode(f *testing.F) {
	f.Add((&Entry{Seq: 1, Consumer: Consumer{Queue: "q"}, Body: []byte("b")}).Append(nil))
	f.Add([]byte("Z{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entry, _, err := Decode(b)
		if err != nil || entry == nil {
			return
		}
		again, _, err := Decode(entry.Append(nil))
		if err != nil || !bytes.Equal(again.Body, entry.Body) || again.Seq != entry.Seq {
			t.Fatalf("%v: %v is not %v", err, again, entry)
		}
	})
}
