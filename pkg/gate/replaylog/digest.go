package replaylog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest chains records: each step hashes the digest before it and the hash of the record.
type Digest [sha256.Size]byte

// Next digest after a record.
func (d Digest) Next(record []byte) Digest { return d.Chain(sha256.Sum256(record)) }

// Chain the hash of a record.
func (d Digest) Chain(sum [sha256.Size]byte) Digest {
	var both [2 * sha256.Size]byte
	copy(both[:], d[:])
	copy(both[sha256.Size:], sum[:])
	return sha256.Sum256(both[:])
}

// MarshalText writes it in hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText is the reverse of MarshalText.
func (d *Digest) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("decoding digest %q", b)
	}
	copy(d[:], raw)
	return nil
}
