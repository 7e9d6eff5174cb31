package chain

import (
	"encoding/json"
	"fmt"
	"time"
)

// Message is the body that producers send.
type Message struct {
	Producer string `json:"producer"`
	// Sequence counts from 1 for each producer.
	Sequence uint64 `json:"sequence"`
	Payload  string `json:"payload,omitempty"`
}

// ID names the message among all messages.
func (m Message) ID() string { return fmt.Sprintf("%s/%d", m.Producer, m.Sequence) }

// Body returns the message as it is sent.
func (m Message) Body() []byte {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return body
}

// ParseMessage reads what Body wrote.
func ParseMessage(body []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return Message{}, fmt.Errorf("decoding message: %w", err)
	}
	if m.Producer == "" || m.Sequence == 0 {
		return Message{}, fmt.Errorf("decoding message: no producer or sequence in %q", body)
	}
	return m, nil
}

// Output is what the ledger publishes for each message it applies.
type Output struct {
	Producer string `json:"producer"`
	Sequence uint64 `json:"sequence"`
	// Count and Chain are the ledger's after the message.
	Count uint64 `json:"count"`
	Chain Digest `json:"chain"`
	// Instance whose memory this is; a restored copy keeps it, a fresh start has another.
	Instance string `json:"instance"`
}

// ID names the message that the output answers.
func (o Output) ID() string { return Message{Producer: o.Producer, Sequence: o.Sequence}.ID() }

// Account is what a producer knows of its own messages.
type Account struct {
	Producer string
	// Sent has the message with sequence n at index n-1.
	Sent []Sent
	// Complete: the producer has ended and every message is confirmed by the broker.
	Complete bool
}

// Sent is one message of an Account.
type Sent struct {
	Digest Digest
	// Chain of the producer up to and with this message.
	Chain Digest
	// At is when it was first handed to the broker.
	At time.Time
}

// Append records the next message.
func (a *Account) Append(digest Digest, at time.Time) {
	var chain Digest
	if n := len(a.Sent); n > 0 {
		chain = a.Sent[n-1].Chain
	}
	a.Sent = append(a.Sent, Sent{Digest: digest, Chain: chain.Link(digest), At: at})
}
