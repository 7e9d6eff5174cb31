package report

import (
	"fmt"
	"time"
)

const defaultContext = 3 * time.Second

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
	source, target := t.inContext(t.Source), t.inContext(t.Target)
	window := window(source, target)
	d.source, d.target = rates(source, d.zero, window), rates(target, d.zero, window)
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

// inContext returns the readings that are to be shown.
func (t Timeline) inContext(counts []Count) []Count {
	if len(t.Phases) == 0 {
		return counts
	}
	context := t.Context
	if context == 0 {
		context = defaultContext
	}
	from, to := t.Phases[0].From.Add(-context), t.Phases[len(t.Phases)-1].To.Add(context)
	var shown []Count
	for _, c := range counts {
		if !c.At.Before(from) && !c.At.After(to) {
			shown = append(shown, c)
		}
	}
	return shown
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
