package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// Layout, in pixels.
const (
	width      = 1120.0
	plotLeft   = 74.0
	plotRight  = width - 28
	plotHeight = 300.0
	headHeight = 98.0
	legendAt   = 75.0
	rowHeight  = 20.0
	stripe     = 6.0
	axisHeight = 28.0
	footHeight = 30.0
	labelSize  = 12.5
	labelGap   = 14.0
	flagGap    = 5.0
)

const style = `
.back { fill: #ffffff }
text { font-family: "Inter", "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #334155 }
.title { font-size: 19px; font-weight: 600; fill: #0f172a }
.subtitle, .axis { font-size: 12.5px; fill: #64748b }
.tick { font-size: 12px; fill: #64748b }
.label { font-size: 12.5px }
.pause-label { font-size: 12.5px; font-weight: 600; fill: #b4232f }
.grid { stroke: #e2e8f0; stroke-width: 1 }
.base { stroke: #94a3b8; stroke-width: 1 }
.leader { stroke-width: 1.2; stroke-opacity: 0.75 }
.phase { fill-opacity: 0.13 }
.pause { fill: #dc2f3f; fill-opacity: 0.22 }
.pause-line { stroke: #dc2f3f; stroke-width: 1.5 }
.source, .target { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round }
.source { stroke: #1d5fd1 }
.target { stroke: #d97706 }
.source-area, .target-area { fill-opacity: 0.10 }
.source-area { fill: #1d5fd1 }
.target-area { fill: #d97706 }
`

// phaseColours repeat after the last. Neighbours differ in lightness, too.
var phaseColours = []string{"#64748b", "#0d9488", "#7c3aed", "#0284c7", "#84a010", "#be5b8d"}

// drawing is a timeline with its scales.
type drawing struct {
	canvas
	Timeline
	zero           time.Time
	source, target []point
	x, y           scale
	phaseRows      []int
	pauseRows      []int
	plotTop        float64
	height         float64
}

func newDrawing(t Timeline) *drawing {
	d := &drawing{Timeline: t}
	d.zero = d.begin()
	window := window(t.Source, t.Target)
	d.source, d.target = rates(t.Source, d.zero, window), rates(t.Target, d.zero, window)
	d.x = scale{begin: plotLeft, end: plotRight}
	d.x.from, d.x.to = d.extent()
	d.phaseRows = d.layOutPhases()
	d.pauseRows = d.layOutPauses()
	d.plotTop = headHeight + rowHeight*float64(rowCount(d.phaseRows)) + stripe + 4
	bottom := d.plotTop + plotHeight
	d.height = bottom + axisHeight + rowHeight*float64(rowCount(d.pauseRows)) + footHeight
	d.y = scale{from: 0, to: d.highest(), begin: bottom, end: d.plotTop}
	return d
}

func (d *drawing) begin() time.Time {
	if len(d.Phases) > 0 {
		return d.Phases[0].From
	}
	if len(d.Source) > 0 {
		return d.Source[0].At
	}
	return d.Target[0].At
}

// extent of the time axis: all that is known.
func (d *drawing) extent() (from, to float64) {
	for _, p := range append(d.source[:len(d.source):len(d.source)], d.target...) {
		from, to = min(from, p.x), max(to, p.x)
	}
	for _, s := range append(d.Phases[:len(d.Phases):len(d.Phases)], d.Pauses...) {
		from, to = min(from, d.seconds(s.From)), max(to, d.seconds(s.To))
	}
	return from, max(to, from+0.1)
}

// highest value of the rate axis: the next tick above the highest rate.
func (d *drawing) highest() float64 {
	top := 1.0
	for _, p := range append(d.source[:len(d.source):len(d.source)], d.target...) {
		top = max(top, p.y)
	}
	step := niceStep(top / 5)
	for i := 1.0; ; i++ {
		if i*step >= top*1.02 {
			return i * step
		}
	}
}

func (d *drawing) seconds(t time.Time) float64 { return t.Sub(d.zero).Seconds() }

// span returns the horizontal extent of s on the picture.
func (d *drawing) span(s Span) (left, right float64) {
	return d.x.at(d.seconds(s.From)), d.x.at(d.seconds(s.To))
}

// layOutPhases hangs each label like a flag from a pole at the phase's beginning. The rows, counted from below, fall from
// left to right, so no pole crosses another's flag.
func (d *drawing) layOutPhases() []int {
	placed := make([]int, len(d.Phases))
	for i := len(d.Phases) - 1; i >= 0; i-- {
		left, _ := d.span(d.Phases[i])
		end := left + flagGap + textWidth(phaseLabel(d.Phases[i]), labelSize) + labelGap
		for j := i + 1; j < len(d.Phases); j++ {
			if pole, _ := d.span(d.Phases[j]); pole < end {
				placed[i] = max(placed[i], placed[j]+1)
			}
		}
	}
	return placed
}

// layOutPauses centres each label below its pause, where there is room in the first row and else in the next.
func (d *drawing) layOutPauses() []int {
	var taken rows
	placed := make([]int, 0, len(d.Pauses))
	for _, s := range d.Pauses {
		middle, half := d.pauseLabelAt(s), textWidth(pauseLabel(s), labelSize)/2
		placed = append(placed, taken.place(middle-half, middle+half+labelGap))
	}
	return placed
}

// pauseLabelAt returns where the middle of the label goes: below its pause, but within the plot.
func (d *drawing) pauseLabelAt(s Span) float64 {
	left, right := d.span(s)
	half := textWidth(pauseLabel(s), labelSize) / 2
	return min(max((left+right)/2, plotLeft+half), plotRight-half)
}

func rowCount(placed []int) int {
	count := 0
	for _, row := range placed {
		count = max(count, row+1)
	}
	return count
}

func phaseLabel(s Span) string { return fmt.Sprintf("%s %.2f s", s.Name, s.To.Sub(s.From).Seconds()) }

func pauseLabel(s Span) string {
	return fmt.Sprintf("%s pause %d ms", s.Name, s.To.Sub(s.From).Round(time.Millisecond).Milliseconds())
}

func (d *drawing) draw() []byte {
	fmt.Fprintf(&d.text, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img">`+"\n",
		width, d.height, width, d.height)
	d.element("title", d.Title)
	d.element("style", style)
	d.rect("back", 0, 0, width, d.height)
	d.drawHead()
	d.drawPhases()
	d.drawAxes()
	d.drawPauses()
	d.drawRate("source", d.source)
	d.drawRate("target", d.target)
	d.text.WriteString("</svg>\n")
	return d.text.Bytes()
}

// drawHead draws title and legend.
func (d *drawing) drawHead() {
	d.label("title", "start", plotLeft, 32, d.Title)
	d.label("subtitle", "start", plotLeft, 53, d.Subtitle)
	x := plotLeft
	for _, entry := range []struct{ class, text string }{{"source", "source pod"}, {"target", "target pod"}} {
		d.line(entry.class, x, legendAt, x+24, legendAt)
		d.label("label", "start", x+31, legendAt+4.5, entry.text)
		x += 31 + textWidth(entry.text, labelSize) + 24
	}
	if len(d.Pauses) > 0 {
		d.rect("pause", x, legendAt-7, 24, 14)
		d.label("label", "start", x+31, legendAt+4.5, "messages wait, no instance processes")
	}
}

func (d *drawing) drawPhases() {
	top := d.plotTop - stripe
	for i, s := range d.Phases {
		left, right := d.span(s)
		colour := phaseColours[i%len(phaseColours)]
		d.rect("phase", left, d.plotTop, max(0.5, right-left), plotHeight, "fill", colour, "data-phase", s.Name)
		d.rect("stripe", left, top, max(1, right-left), stripe, "fill", colour)
		baseline := d.plotTop - stripe - 8 - rowHeight*float64(d.phaseRows[i])
		d.element("line", "", "class", "leader", "stroke", colour, "x1", left, "y1", baseline-10, "x2", left, "y2", top)
		d.label("label", "start", left+flagGap, baseline, phaseLabel(s))
	}
}

func (d *drawing) drawAxes() {
	for _, value := range d.y.ticks(5) {
		y := d.y.at(value)
		d.line("grid", plotLeft, y, plotRight, y)
		d.label("tick", "end", plotLeft-9, y+4, number(value))
	}
	bottom := d.plotTop + plotHeight
	d.line("base", plotLeft, bottom, plotRight, bottom)
	for _, value := range d.x.ticks(12) {
		x := d.x.at(value)
		d.line("base", x, bottom, x, bottom+5)
		d.label("tick", "middle", x, bottom+20, number(value))
	}
	d.label("axis", "middle", (plotLeft+plotRight)/2, d.height-12, "seconds since the migration began")
	middle := d.plotTop + plotHeight/2
	d.element("text", "messages processed per second", "class", "axis", "text-anchor", "middle",
		"transform", fmt.Sprintf("translate(22 %.1f) rotate(-90)", middle))
}

// drawPauses marks each pause over the whole plot, with its length below the axis.
func (d *drawing) drawPauses() {
	bottom := d.plotTop + plotHeight
	for i, s := range d.Pauses {
		left, right := d.span(s)
		d.rect("pause", left, d.plotTop, max(1, right-left), plotHeight, "data-pause", s.Name)
		baseline := bottom + axisHeight + rowHeight*float64(d.pauseRows[i]) + 15
		d.line("pause-line", left, bottom+1, right, bottom+1)
		d.line("pause-line", (left+right)/2, bottom+1, (left+right)/2, baseline-12)
		d.label("pause-label", "middle", d.pauseLabelAt(s), baseline, pauseLabel(s))
	}
}

func (d *drawing) drawRate(class string, points []point) {
	if len(points) == 0 {
		return
	}
	var path strings.Builder
	for i, p := range points {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], d.x.at(p.x), d.y.at(p.y))
	}
	first, last := points[0], points[len(points)-1]
	area := fmt.Sprintf("%sL%.1f %.1fL%.1f %.1fZ", path.String(),
		d.x.at(last.x), d.y.at(0), d.x.at(first.x), d.y.at(0))
	d.element("path", "", "class", class+"-area", "d", area)
	d.element("path", "", "class", class, "d", path.String())
}

// number writes a tick without needless digits.
func number(value float64) string {
	text := fmt.Sprintf("%.2f", value)
	text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}
