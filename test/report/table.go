package report

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

const (
	labelWidth = 28
	valueWidth = 12
	barWidth   = 30
)

// PrintTable writes a result for people, at most 80 columns wide. On a terminal it adds bars and colour.
func PrintTable(w io.Writer, r Result) error {
	p := newPrinter(w)
	p.heading("Live migration, strategy "+r.Strategy, "seconds")
	for _, phase := range r.Phases {
		p.row(phase.Name, seconds(phase.Seconds), p.bar(phase.Seconds, r.TotalSeconds))
	}
	p.row("total", seconds(r.TotalSeconds), "")

	p.heading("Pause of processing", "ms")
	p.row("at the checkpoint", millis(r.PauseMillis.Checkpoint), "")
	p.row("at the hand-over", millis(r.PauseMillis.Handover), "")
	p.row("longest of all", millis(r.PauseMillis.Longest), "")

	p.heading("Messages", "")
	p.row("published", whole(r.Published), "")
	p.row("processed", whole(r.Processed), "")
	p.zero("lost", r.Lost)
	p.zero("duplicated", r.Duplicated)
	p.zero("reordered", r.Reordered)
	p.zero("outputs duplicated", r.OutputsDuplicated)
	p.zero("outputs lost", r.OutputsLost)
	p.row("replayed from the log", whole(r.Replayed), "")
	p.row("arrival rate (lambda)", rate(r.Lambda), "")
	p.row("service rate (mu)", rate(r.Mu), "")

	p.heading("Checkpoint", "")
	p.row("archive", mebibytes(r.ArchiveBytes), "")

	p.line("")
	p.row("State equal", p.verdict(r.StateEqual), "")
	return p.err
}

// PrintSummary writes one line per run and the medians, at most 80 columns wide.
func PrintSummary(w io.Writer, s Summary) error {
	p := newPrinter(w)
	const columns = "%-7s %8s %10s %9s %10s %5s %5s %5s %5s %5s"
	p.line("")
	p.line(p.bold(fmt.Sprintf(columns, "run", "total s", "ckpt ms", "hand ms", "messages", "lost", "dup", "reord", "out", "equal")))
	for i, r := range s.Runs {
		p.line(fmt.Sprintf(columns, strconv.Itoa(i+1), seconds(r.TotalSeconds), millis(r.PauseMillis.Checkpoint),
			millis(r.PauseMillis.Handover), whole(r.Processed), whole(r.Lost), whole(r.Duplicated), whole(r.Reordered),
			whole(r.OutputsLost+r.OutputsDuplicated), yesNo(r.StateEqual)))
	}
	m := s.Median
	p.line(p.bold(strings.TrimRight(fmt.Sprintf(columns, "median", seconds(m.TotalSeconds), millis(m.PauseMillis.Checkpoint),
		millis(m.PauseMillis.Handover), "", "", "", "", "", ""), " ")))
	p.line("")
	p.line(fmt.Sprintf("%d of %d runs exact", s.Exact, len(s.Runs)))
	return p.err
}

// printer remembers the first error, so that a table reads as a table.
type printer struct {
	w        io.Writer
	terminal bool
	err      error
}

func newPrinter(w io.Writer) *printer { return &printer{w: w, terminal: isTerminal(w)} }

// isTerminal also heeds NO_COLOR, which asks for plain text.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *printer) line(text string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, text)
	}
}

func (p *printer) heading(text, unit string) {
	p.line("")
	p.line(p.bold(strings.TrimRight(fmt.Sprintf("%-*s%*s", labelWidth+2, text, valueWidth, unit), " ")))
}

func (p *printer) row(label, value, note string) {
	// Padded by hand: colour codes have no width.
	padding := strings.Repeat(" ", max(0, valueWidth-len(plain(value))))
	p.line(strings.TrimRight(fmt.Sprintf("  %-*s%s%s  %s", labelWidth, label, padding, value, note), " "))
}

// zero is a row whose value must be zero.
func (p *printer) zero(label string, n uint64) {
	if n == 0 {
		p.row(label, "0", "")
		return
	}
	p.row(label, p.colour("31;1", whole(n)), "")
}

func (p *printer) verdict(equal bool) string {
	if equal {
		return p.colour("32;1", yesNo(equal))
	}
	return p.colour("31;1", yesNo(equal))
}

func (p *printer) bar(part, total float64) string {
	if !p.terminal || total <= 0 {
		return ""
	}
	eighths := int(min(1, part/total) * barWidth * 8)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return p.colour("34", bar)
}

func (p *printer) bold(text string) string { return p.colour("1", text) }

func (p *printer) colour(code, text string) string {
	if !p.terminal {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// plain is text without the codes that colour put around it.
func plain(text string) string {
	if rest, coloured := strings.CutPrefix(text, "\x1b["); coloured {
		_, rest, _ = strings.Cut(rest, "m")
		return strings.TrimSuffix(rest, "\x1b[0m")
	}
	return text
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

func millis(ms float64) string { return fmt.Sprintf("%.0f", ms) }

func rate(perSecond float64) string { return fmt.Sprintf("%.1f/s", perSecond) }

func mebibytes(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// whole groups the digits in threes.
func whole(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "NO"
}
