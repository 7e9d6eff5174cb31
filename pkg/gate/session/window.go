package session

import (
	"encoding/json"
	"fmt"
)

// maxGap bounds the numbers that may be left out between two that are added.
const maxGap = 1 << 20

// Window of ascending numbers, from 1, that are settled one by one or all up to one. The zero value is empty.
//
// Invariant: open[start:] are the numbers from first on; the first of them is unsettled, or there are none.
type Window struct {
	first uint64
	last  uint64
	open  []bool
	start int
	n     int
}

// Add an unsettled number, higher than the last.
func (w *Window) Add(number uint64) error {
	if number <= w.last || (w.n > 0 && number-w.last > maxGap) {
		return fmt.Errorf("number %d after %d", number, w.last)
	}
	if w.n == 0 {
		w.open, w.start, w.first = w.open[:0], 0, number
	} else {
		for range number - w.last - 1 {
			w.open = append(w.open, false)
		}
		w.compact()
	}
	w.open = append(w.open, true)
	w.last, w.n = number, w.n+1
	return nil
}

// compact moves the window to the front of its slice once that is half unused, instead of letting it grow.
func (w *Window) compact() {
	if len(w.open) == cap(w.open) && w.start > len(w.open)/2 {
		n := copy(w.open, w.open[w.start:])
		w.open, w.start = w.open[:n], 0
	}
}

// Skip a number that nobody will settle.
func (w *Window) Skip(number uint64) { w.last = max(w.last, number); w.pad() }

func (w *Window) pad() {
	for w.n > 0 && w.first+uint64(len(w.open)-w.start) <= w.last {
		w.open = append(w.open, false)
	}
}

// Settle a number, or all up to it, and return how many that settled.
func (w *Window) Settle(number uint64, multiple bool) int {
	if w.n == 0 || number < w.first {
		return 0
	}
	if !multiple {
		i := number - w.first
		if i >= uint64(len(w.open)-w.start) || !w.open[w.start+int(i)] {
			return 0
		}
		w.open[w.start+int(i)] = false
		w.n--
		w.advance()
		return 1
	}
	settled := 0
	for w.n > 0 && w.first <= number {
		w.open[w.start] = false
		settled++
		w.n--
		w.advance()
	}
	return settled
}

// advance to the next unsettled number.
func (w *Window) advance() {
	for w.start < len(w.open) && !w.open[w.start] {
		w.start++
		w.first++
	}
}

// Has tells whether the number is unsettled.
func (w *Window) Has(number uint64) bool {
	i := number - w.first
	return w.n > 0 && number >= w.first && i < uint64(len(w.open)-w.start) && w.open[w.start+int(i)]
}

// Len is the count of unsettled numbers.
func (w *Window) Len() int { return w.n }

// Last number added or skipped.
func (w *Window) Last() uint64 { return w.last }

// Highest unsettled number; 0 when all are settled.
func (w *Window) Highest() uint64 {
	for i := len(w.open) - 1; w.n > 0 && i >= w.start; i-- {
		if w.open[i] {
			return w.first + uint64(i-w.start)
		}
	}
	return 0
}

// Numbers that are unsettled, ascending.
func (w *Window) Numbers() []uint64 {
	var out []uint64
	for i, open := range w.open[w.start:] {
		if open {
			out = append(out, w.first+uint64(i))
		}
	}
	return out
}

type windowJSON struct {
	Last uint64   `json:"last,omitempty"`
	Open []uint64 `json:"open,omitempty"`
}

// MarshalJSON writes the last number and the unsettled ones.
func (w Window) MarshalJSON() ([]byte, error) {
	return json.Marshal(windowJSON{Last: w.last, Open: w.Numbers()})
}

// UnmarshalJSON is the reverse of MarshalJSON.
func (w *Window) UnmarshalJSON(b []byte) error {
	var j windowJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*w = Window{}
	for _, n := range j.Open {
		if err := w.Add(n); err != nil {
			return fmt.Errorf("decoding window: %w", err)
		}
	}
	w.Skip(j.Last)
	return nil
}
