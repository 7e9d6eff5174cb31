package report

import (
	"fmt"
	"strings"
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
	for _, entry := range []struct {
		class, text string
		points      []point
	}{{"source", "source pod", d.source}, {"target", "target pod", d.target}} {
		if len(entry.points) == 0 {
			continue
		}
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
