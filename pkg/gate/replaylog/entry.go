// Package replaylog is the log of a migration: the deliveries that the source's gate forwarded after the cut, in their
// order, kept in a secondary queue of the broker, and END, which says what a complete log holds.
package replaylog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"ms2m.dev/ms2m-descheduler/pkg/gate/session"
)

// Kinds of records: the first byte of a message's body in the log queue.
const (
	kindEntry = 'E'
	kindEnd   = 'Z'
)

// Consumer that a delivery went to, as the target can find it again: by its tag, when the consumers of the queue have the
// same tags there, each its own; else, since clients make up new tags, by the order of subscription.
type Consumer struct {
	Queue string `json:"queue"`
	Tag   string `json:"tag"`
	// Index among the Of consumers of the queue, in the order of their subscription.
	Index int `json:"index"`
	Of    int `json:"of"`
	// Tags of all of them, as TagsOf makes it.
	Tags uint64 `json:"tags"`
}

// TagsOf consumers in one number: the same for the same tags in any order.
func TagsOf(tags []string) uint64 {
	tags = slices.Sorted(slices.Values(tags))
	h := fnv.New64a()
	for _, t := range tags {
		_, _ = h.Write(append([]byte{byte(len(t))}, t...)) // never fails
	}
	return h.Sum64()
}

// Entry is one delivery.
type Entry struct {
	// Seq counts from 1 without gaps.
	Seq      uint64
	Consumer Consumer
	// Piped: it was forwarded before the one before it was settled, since the app settles in batches.
	Piped       bool
	Redelivered bool
	Exchange    string
	RoutingKey  string
	Properties  []byte
	Body        []byte
}

// End of the log.
type End struct {
	Entries uint64 `json:"entries"`
	// Digest of all entries in order.
	Digest Digest `json:"digest"`
	// Outputs that the source published since the cut, and the digest over them in order.
	Outputs       uint64 `json:"outputs"`
	OutputsDigest Digest `json:"outputsDigest"`
	// Decisions of the app about deliveries that it settled otherwise than by acknowledging them, in order.
	Decisions Digest `json:"decisions"`
	// Consumers of the source.
	Consumers []Consumer `json:"consumers"`
	// Sessions of the source as it stopped.
	Sessions []*session.Session `json:"sessions,omitempty"`
}

var errMalformed = errors.New("malformed log record")

// Append the entry's written form.
func (e *Entry) Append(dst []byte) []byte {
	flags := byte(0)
	if e.Piped {
		flags |= 1
	}
	if e.Redelivered {
		flags |= 2
	}
	dst = append(dst, kindEntry, flags)
	for _, n := range []uint64{e.Seq, uint64(e.Consumer.Index), uint64(e.Consumer.Of), e.Consumer.Tags} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, s := range []string{e.Consumer.Queue, e.Consumer.Tag, e.Exchange, e.RoutingKey} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Properties)))
	dst = append(dst, e.Properties...)
	return append(dst, e.Body...)
}

// Append the end's written form.
func (e *End) Append(dst []byte) ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding end of log: %w", err)
	}
	return append(append(dst, kindEnd), b...), nil
}

// Decode a record: one of the two results is set. The entry refers to b.
func Decode(b []byte) (*Entry, *End, error) {
	switch {
	case len(b) > 0 && b[0] == kindEnd:
		e := &End{}
		if err := json.Unmarshal(b[1:], e); err != nil {
			return nil, nil, fmt.Errorf("decoding end of log: %w", err)
		}
		return nil, e, nil
	case len(b) > 1 && b[0] == kindEntry:
		e, err := decodeEntry(b)
		return e, nil, err
	}
	return nil, nil, errMalformed
}

func decodeEntry(b []byte) (*Entry, error) {
	e := &Entry{Piped: b[1]&1 != 0, Redelivered: b[1]&2 != 0}
	r := reader{b: b[2:]}
	e.Seq = r.number()
	e.Consumer.Index, e.Consumer.Of, e.Consumer.Tags = int(r.number()), int(r.number()), r.number()
	e.Consumer.Queue, e.Consumer.Tag = string(r.bytes()), string(r.bytes())
	e.Exchange, e.RoutingKey = string(r.bytes()), string(r.bytes())
	e.Properties = r.bytes()
	e.Body = r.b
	if r.bad {
		return nil, errMalformed
	}
	return e, nil
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.number()
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
