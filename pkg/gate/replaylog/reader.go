package replaylog

import (
	"errors"
	"fmt"
)

// ahead is how many records the broker sends before the first of them is done.
const ahead = 128

// Record of a log as it was read: one of Entry and End is set.
type Record struct {
	Entry *Entry
	End   *End
	// Digest over all entries up to here.
	Digest Digest
	// Done lets the broker send another.
	Done func()
}

// Read calls take with each record in order, until END or an error.
func (c *Conn) Read(queue string, take func(Record)) error {
	if err := c.ch.Qos(ahead, 0, false); err != nil {
		return fmt.Errorf("reading log: %w", err)
	}
	messages, err := c.ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("reading log: %w", err)
	}
	var digest Digest
	next := uint64(1)
	for m := range messages {
		entry, end, err := Decode(m.Body)
		if err != nil {
			return fmt.Errorf("reading log: %w", err)
		}
		if entry != nil {
			if entry.Seq != next {
				return fmt.Errorf("reading log: entry %d where %d was expected", entry.Seq, next)
			}
			next++
			digest = digest.Next(m.Body)
		}
		take(Record{Entry: entry, End: end, Digest: digest, Done: func() { _ = m.Ack(false) }})
		if end != nil {
			return nil
		}
	}
	return errors.New("reading log: connection closed before END")
}
