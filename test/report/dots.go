package report

import (
	"fmt"
	"slices"
)

const (
	panelHeight = 150.0
	panelGap    = 54.0
	panelTop    = 96.0
)

const dotsStyle = style + `
.dot { fill: #1d5fd1; fill-opacity: 0.55 }
.median { stroke: #d97706; stroke-width: 3 }
.limit { stroke: #dc2f3f; stroke-width: 1.5; stroke-dasharray: 6 4 }
`

// dots is a picture of panels, one above the other, in which every measured value is a dot.
type dots struct {
	canvas
	drawn int
}

// column of a panel: values in their order.
type column struct {
	label  string
	values []float64
}

func newDots(title, subtitle string, panels int) *dots {
	d := &dots{}
	height := panelTop + float64(panels)*(panelHeight+panelGap) + 16
	fmt.Fprintf(&d.text, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img">`+"\n",
		width, height, width, height)
	d.element("title", title)
	d.element("style", dotsStyle)
	d.rect("back", 0, 0, width, height)
	d.label("title", "start", plotLeft, 32, title)
	d.label("subtitle", "start", plotLeft, 53, subtitle)
	return d
}

func (d *dots) end() []byte {
	d.text.WriteString("</svg>\n")
	return d.text.Bytes()
}

// panel of columns, with lines at limits.
func (d *dots) panel(title string, columns []column, limits ...float64) {
	top := panelTop + float64(d.drawn)*(panelHeight+panelGap)
	d.drawn++
	y := scale{from: 0, to: highest(columns, limits), begin: top + panelHeight, end: top}
	d.label("label", "start", plotLeft, top-10, title)
	for _, value := range y.ticks(4) {
		d.line("grid", plotLeft, y.at(value), plotRight, y.at(value))
		d.label("tick", "end", plotLeft-9, y.at(value)+4, number(value))
	}
	for _, limit := range limits {
		d.line("limit", plotLeft, y.at(limit), plotRight, y.at(limit))
	}
	width := (plotRight - plotLeft) / float64(len(columns))
	for i, c := range columns {
		middle := plotLeft + width*(float64(i)+0.5)
		d.label("tick", "middle", middle, top+panelHeight+18, c.label)
		for j, value := range c.values {
			// Values stand side by side in their order, so that a trend shows.
			x := middle + width*0.7*((float64(j)+0.5)/float64(len(c.values))-0.5)
			d.element("circle", "", "class", "dot", "cx", x, "cy", y.at(value), "r", 4)
		}
		m := y.at(median(slices.Clone(c.values)))
		d.line("median", middle-width*0.38, m, middle+width*0.38, m)
	}
}

func highest(columns []column, limits []float64) float64 {
	top := slices.Max(append(limits, 0))
	for _, c := range columns {
		top = slices.Max(append(c.values[:len(c.values):len(c.values)], top))
	}
	if top == 0 {
		return 1
	}
	return top * 1.08
}
