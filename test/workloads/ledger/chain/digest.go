package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Digest is a SHA-256. The zero Digest is the beginning of every chain.
type Digest [sha256.Size]byte

// Link returns the chain d grown by one entry.
func (d Digest) Link(entry Digest) Digest {
	return sha256.Sum256(append(d[:], entry[:]...))
}

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first digits, enough for people to compare.
func (d Digest) Short() string { return d.String()[:12] }

// MarshalText writes the digest in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("decoding digest: %w", err)
	}
	if len(raw) != len(d) {
		return fmt.Errorf("decoding digest: %d bytes instead of %d", len(raw), len(d))
	}
	copy(d[:], raw)
	return nil
}

// Envelope is all of a message that must reach the consumer unaltered.
type Envelope struct {
	Exchange    string
	RoutingKey  string
	ContentType string
	MessageID   string
	// Timestamp in seconds since 1970, the resolution of AMQP.
	Timestamp int64
	Body      []byte
}

// Digest covers every field; each is preceded by its length, so no two envelopes read the same.
func (e Envelope) Digest() Digest {
	var text []byte
	for _, field := range []string{e.Exchange, e.RoutingKey, e.ContentType, e.MessageID, string(e.Body)} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(field)))
		text = append(text, field...)
	}
	text = binary.BigEndian.AppendUint64(text, uint64(e.Timestamp)) //nolint:gosec // a bijection is all that is asked
	return sha256.Sum256(text)
}
