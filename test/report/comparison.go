package report

import (
	"errors"
	"fmt"
)

// Comparison of summaries under different loads.
type Comparison struct {
	Title  string `json:"title"`
	Series []Load `json:"series"`
}

// Load under which migrations were run.
type Load struct {
	// Rate of arrivals in messages per second.
	Rate float64 `json:"rate"`
	// MemoryMiB of the consumer, and its service time in milliseconds.
	MemoryMiB     int     `json:"memoryMiB"`
	ServiceMillis float64 `json:"serviceMillis"`
	Summary
}

// WriteJSON writes the comparison to a file, whose folder it makes.
func (c Comparison) WriteJSON(path string) error { return writeJSON(path, c) }

// WriteFile writes the picture to a file, whose folder it makes: every run as a dot, medians as bars, the total and the
// two pauses one above the other.
func (c Comparison) WriteFile(path string) error {
	if len(c.Series) == 0 {
		return errors.New("drawing comparison: there is nothing to compare")
	}
	return writeFile(path, "picture", c.draw())
}

// panel is one value of every run.
type panel struct {
	title string
	value func(Result) float64
}

var panels = []panel{
	{"total, seconds", func(r Result) float64 { return r.TotalSeconds }},
	{"pause at the checkpoint, milliseconds", func(r Result) float64 { return r.PauseMillis.Checkpoint }},
	{"pause at the hand-over, milliseconds", func(r Result) float64 { return r.PauseMillis.Handover }},
}

func (c Comparison) draw() []byte {
	d := newDots(c.Title, "each dot is a run, each bar a median", len(panels))
	for _, p := range panels {
		columns := make([]column, 0, len(c.Series))
		for _, s := range c.Series {
			values := make([]float64, 0, len(s.Runs))
			for _, r := range s.Runs {
				values = append(values, p.value(r))
			}
			columns = append(columns, column{fmt.Sprintf("%g messages/s, %d MiB", s.Rate, s.MemoryMiB), values})
		}
		d.panel(p.title, columns)
	}
	return d.end()
}
