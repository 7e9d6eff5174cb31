package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Timeline of a migration under load.
type Timeline struct {
	Title string
	// Subtitle holds what else is worth knowing, such as rate, memory and verdict. Optional.
	Subtitle string
	// Source and Target are readings of each instance's counter, in order of time; a few per 100 ms suffice.
	Source, Target []Count
	// Phases in their order. Time zero is the beginning of the first.
	Phases []Span
	// Pauses of processing, named after what caused them, such as "checkpoint".
	Pauses []Span
	// Context is how long before and after the phases is shown, default 3 s.
	Context time.Duration
}

// Span of time with a name.
type Span struct {
	Name     string
	From, To time.Time
}

// WriteFile writes the picture to a file, whose folder it makes.
func (t Timeline) WriteFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the picture's folder: %w", err)
	}
	file, err := os.Create(path) //nolint:gosec // the caller's choice
	if err != nil {
		return fmt.Errorf("creating picture: %w", err)
	}
	return errors.Join(t.WriteSVG(file), file.Close())
}

// WriteSVG draws the timeline: the rate at which source and target process over time, the phases as bands with their
// seconds, the pauses marked.
func (t Timeline) WriteSVG(w io.Writer) error {
	if len(t.Source) < 2 && len(t.Target) < 2 {
		return errors.New("drawing timeline: no readings of source or target")
	}
	if _, err := w.Write(newDrawing(t).draw()); err != nil {
		return fmt.Errorf("writing picture: %w", err)
	}
	return nil
}
