package report

import "fmt"

const (
	chaosLeft = 230.0
	chaosTop  = 112.0
	chaosRow  = 34.0
	chaosDot  = 5.5
)

const chaosStyle = style + `
.succeeded { fill: #1d5fd1 }
.rolled-back { fill: #0d9488 }
.died { fill: #94a3b8 }
.missed { fill: none; stroke: #94a3b8; stroke-width: 1.5 }
.violation { fill: #dc2f3f }
`

// chaosClasses in the order of the legend.
var chaosClasses = []struct{ class, text string }{
	{"succeeded", "succeeded, exact"}, {"rolled-back", "rolled back, exact"}, {"died", "state had died with its process"},
	{"missed", "not struck, exact"}, {"violation", "violation"},
}

var chaosPhases = []string{"Pending", "Checkpointing", "Transferring", "Restoring", "Replaying", "Finalizing"}

// class of a run's dot.
func (r ChaosRun) class() string {
	switch {
	case len(r.Violations) > 0:
		return "violation"
	case !r.Struck:
		return "missed"
	case r.Died:
		return "died"
	case r.Outcome == "Succeeded":
		return "succeeded"
	}
	return "rolled-back"
}

func (c Chaos) draw() []byte {
	d := &canvas{}
	faults := c.faults()
	height := chaosTop + chaosRow*float64(len(faults)) + 24
	fmt.Fprintf(&d.text, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img">`+"\n",
		width, height, width, height)
	title := "Migrations under faults"
	d.element("title", title)
	d.element("style", chaosStyle)
	d.rect("back", 0, 0, width, height)
	d.label("title", "start", 28, 32, title)
	d.label("subtitle", "start", 28, 53, fmt.Sprintf("%d runs from seed %d; each dot is a run, by its fault and the phase that was struck", c.Runs, c.Seed))
	c.drawLegend(d)
	cell := (plotRight - chaosLeft) / float64(len(chaosPhases))
	for i, p := range chaosPhases {
		d.label("label", "start", chaosLeft+cell*float64(i), chaosTop-10, p)
	}
	for i, f := range faults {
		top := chaosTop + chaosRow*float64(i)
		d.line("grid", 28, top, plotRight, top)
		d.label("label", "start", 28, top+chaosRow/2+4, f)
		for j, p := range chaosPhases {
			c.drawCell(d, f, p, chaosLeft+cell*float64(j), top, cell)
		}
	}
	d.text.WriteString("</svg>\n")
	return d.text.Bytes()
}

func (c Chaos) drawLegend(d *canvas) {
	x := 28.0
	for _, k := range chaosClasses {
		d.element("circle", "", "class", k.class, "cx", x+chaosDot, "cy", 75.0, "r", chaosDot)
		d.label("label", "start", x+2*chaosDot+6, 79, k.text)
		x += 2*chaosDot + 6 + textWidth(k.text, labelSize) + 22
	}
}

// drawCell puts the runs side by side, and in further lines when there is no room.
func (c Chaos) drawCell(d *canvas, fault, phase string, left, top, cell float64) {
	const step = 2*chaosDot + 3
	inLine := int(cell-8) / step
	n := 0
	for _, r := range c.Each {
		if r.Fault != fault || r.Phase != phase {
			continue
		}
		x, y := left+chaosDot+step*float64(n%inLine), top+chaosDot+5+step*float64(n/inLine)
		d.element("circle", "", "class", r.class(), "cx", x, "cy", y, "r", chaosDot, "data-seed", r.Seed)
		n++
	}
}
