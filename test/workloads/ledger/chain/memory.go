package chain

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
)

const mebibyte = 1 << 20

// Memory is the checksum of a ballast.
type Memory struct {
	Mebibytes int    `json:"mebibytes"`
	Checksum  Digest `json:"checksum"`
}

// Ballast is memory that the ledger only holds: incompressible, and the same in every process of that size, so that its
// checksum shows whether it came through a checkpoint unharmed. It holds mebibytes, one a slice.
type Ballast [][]byte

// NewBallast allocates and fills a ballast.
func NewBallast(mebibytes int) Ballast {
	b := make(Ballast, 0, mebibytes)
	for page := range pages(mebibytes) {
		b = append(b, append([]byte(nil), page...))
	}
	return b
}

// Memory reads the whole ballast.
func (b Ballast) Memory() Memory {
	h := sha256.New()
	for _, page := range b {
		h.Write(page)
	}
	return Memory{Mebibytes: len(b), Checksum: Digest(h.Sum(nil))}
}

// ExpectedMemory is the Memory of an unharmed ballast.
func ExpectedMemory(mebibytes int) Memory {
	h := sha256.New()
	for page := range pages(mebibytes) {
		h.Write(page)
	}
	return Memory{Mebibytes: mebibytes, Checksum: Digest(h.Sum(nil))}
}

// pages yields the content, a mebibyte at a time, in a buffer that it uses again: the keystream of AES-256 in counter
// mode, which every language has at hand.
func pages(mebibytes int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		key := sha256.Sum256([]byte("ledger ballast"))
		block, err := aes.NewCipher(key[:])
		if err != nil {
			panic(err) // the key has the right length
		}
		keystream := cipher.NewCTR(block, make([]byte, block.BlockSize()))
		page := make([]byte, mebibyte)
		for range mebibytes {
			clear(page)
			keystream.XORKeyStream(page, page)
			if !yield(page) {
				return
			}
		}
	}
}
