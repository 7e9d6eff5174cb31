package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the picture's folder: %w", err)
	}
	if err := os.WriteFile(path, c.draw(), 0o644); err != nil {
		return fmt.Errorf("writing picture: %w", err)
	}
	return nil
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

const (
	panelHeight = 150.0
	panelGap    = 54.0
	panelTop    = 96.0
)

const comparisonStyle = style + `
.dot { fill: #1d5fd1; fill-opacity: 0.55 }
.median { stroke: #d97706; stroke-width: 3 }
`

func (c Comparison) draw() []byte {
	d := &canvas{}
	height := panelTop + float64(len(panels))*(panelHeight+panelGap) + 16
	fmt.Fprintf(&d.text, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img">`+"\n",
		width, height, width, height)
	d.element("title", c.Title)
	d.element("style", comparisonStyle)
	d.rect("back", 0, 0, width, height)
	d.label("title", "start", plotLeft, 32, c.Title)
	d.label("subtitle", "start", plotLeft, 53, "each dot is a run, each bar a median")
	for i, p := range panels {
		c.drawPanel(d, p, panelTop+float64(i)*(panelHeight+panelGap))
	}
	d.text.WriteString("</svg>\n")
	return d.text.Bytes()
}

func (c Comparison) drawPanel(d *canvas, p panel, top float64) {
	y := scale{from: 0, to: c.highest(p), begin: top + panelHeight, end: top}
	d.label("label", "start", plotLeft, top-10, p.title)
	for _, value := range y.ticks(4) {
		d.line("grid", plotLeft, y.at(value), plotRight, y.at(value))
		d.label("tick", "end", plotLeft-9, y.at(value)+4, number(value))
	}
	column := (plotRight - plotLeft) / float64(len(c.Series))
	for i, s := range c.Series {
		middle := plotLeft + column*(float64(i)+0.5)
		d.label("tick", "middle", middle, top+panelHeight+18, fmt.Sprintf("%g messages/s, %d MiB", s.Rate, s.MemoryMiB))
		values := make([]float64, 0, len(s.Runs))
		for j, r := range s.Runs {
			// Runs stand side by side in their order, so that a trend shows.
			x := middle + column*0.7*((float64(j)+0.5)/float64(len(s.Runs))-0.5)
			d.element("circle", "", "class", "dot", "cx", x, "cy", y.at(p.value(r)), "r", 4)
			values = append(values, p.value(r))
		}
		m := y.at(median(values))
		d.line("median", middle-column*0.38, m, middle+column*0.38, m)
	}
}

func (c Comparison) highest(p panel) float64 {
	top := 0.0
	for _, s := range c.Series {
		for _, r := range s.Runs {
			top = max(top, p.value(r))
		}
	}
	if top == 0 {
		return 1
	}
	return top * 1.08
}
