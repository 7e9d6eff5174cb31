package chain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvelopeDigestCoversEveryField(t *testing.T) {
	whole := Envelope{
		Exchange: "e", RoutingKey: "r", ContentType: "c", MessageID: "m", Timestamp: 7, Body: []byte("b"),
	}
	changes := map[string]func(*Envelope){
		"exchange":     func(e *Envelope) { e.Exchange = "" },
		"routing key":  func(e *Envelope) { e.RoutingKey = "" },
		"content type": func(e *Envelope) { e.ContentType = "" },
		"message ID":   func(e *Envelope) { e.MessageID = "" },
		"timestamp":    func(e *Envelope) { e.Timestamp++ },
		"body":         func(e *Envelope) { e.Body = []byte("B") },
		"borders":      func(e *Envelope) { e.Exchange, e.RoutingKey = "er", "" },
	}
	for name, change := range changes {
		altered := whole
		change(&altered)
		require.NotEqual(t, whole.Digest(), altered.Digest(), name)
	}
}

func TestChainDependsOnOrder(t *testing.T) {
	a, b := Envelope{MessageID: "a"}.Digest(), Envelope{MessageID: "b"}.Digest()
	require.NotEqual(t, Digest{}.Link(a).Link(b), Digest{}.Link(b).Link(a))
}

func TestDigestRefusesMalformedText(t *testing.T) {
	var d Digest
	require.Error(t, d.UnmarshalText([]byte("abc")))
	require.Error(t, d.UnmarshalText([]byte("abcd")))
	require.NoError(t, d.UnmarshalText([]byte(Digest{1}.String())))
	require.Equal(t, Digest{1}, d)
}

func TestMessageSurvivesItsBody(t *testing.T) {
	m := Message{Producer: "p", Sequence: 3, Payload: "x"}
	back, err := ParseMessage(m.Body())
	require.NoError(t, err)
	require.Equal(t, m, back)
	for _, body := range []string{"", "{}", `{"producer":"p"}`, `[1]`} {
		_, err := ParseMessage([]byte(body))
		require.Error(t, err, body)
	}
}
