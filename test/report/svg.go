package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// canvas collects SVG elements.
type canvas struct {
	text bytes.Buffer
}

// element writes one element; attributes come in pairs of name and value.
func (c *canvas) element(name, content string, attributes ...any) {
	fmt.Fprintf(&c.text, "<%s", name)
	for i := 0; i+1 < len(attributes); i += 2 {
		fmt.Fprintf(&c.text, ` %s="%s"`, attributes[i], escape(attribute(attributes[i+1])))
	}
	if content == "" {
		c.text.WriteString("/>\n")
		return
	}
	fmt.Fprintf(&c.text, ">%s</%s>\n", escape(content), name)
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.element("line", "", "class", class, "x1", x1, "y1", y1, "x2", x2, "y2", y2)
}

func (c *canvas) label(class, anchor string, x, y float64, text string) {
	c.element("text", text, "class", class, "text-anchor", anchor, "x", x, "y", y)
}

func (c *canvas) rect(class string, x, y, width, height float64, more ...any) {
	c.element("rect", "", append([]any{"class", class, "x", x, "y", y, "width", width, "height", height}, more...)...)
}

func attribute(value any) string {
	if number, ok := value.(float64); ok {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", number), ".0")
	}
	return fmt.Sprint(value)
}

func escape(text string) string {
	var escaped bytes.Buffer
	_ = xml.EscapeText(&escaped, []byte(text)) // a buffer takes everything
	return escaped.String()
}

// scale maps values to positions.
type scale struct {
	from, to   float64
	begin, end float64
}

func (s scale) at(value float64) float64 {
	return s.begin + (value-s.from)/(s.to-s.from)*(s.end-s.begin)
}

// ticks returns round values within the scale, about so many.
func (s scale) ticks(about int) []float64 {
	step := niceStep((s.to - s.from) / float64(about))
	var ticks []float64
	for i := math.Ceil(s.from/step - 1e-9); i*step <= s.to+step*1e-9; i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

// niceStep returns the next 1, 2 or 5 times a power of ten.
func niceStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, factor := range []float64{1, 2, 5} {
		if step <= factor*power*(1+1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// rows places labels side by side where there is room and else one row further, so that none covers another.
type rows struct {
	ends []float64
}

// place returns the row of a label from left to right.
func (r *rows) place(left, right float64) int {
	for i, end := range r.ends {
		if left >= end {
			r.ends[i] = right
			return i
		}
	}
	r.ends = append(r.ends, right)
	return len(r.ends) - 1
}

// textWidth estimates the width of text of a size in a proportional font.
func textWidth(text string, size float64) float64 {
	return float64(len([]rune(text))) * size * 0.58
}
