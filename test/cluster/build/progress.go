package build

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Progress tells a person what is happening and how long it took.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	live  bool
	start time.Time
}

// NewProgress writes to out; on a terminal running steps count their seconds.
func NewProgress(out io.Writer) *Progress {
	p := &Progress{out: out, start: time.Now()}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// Step runs f as step n of total: "[3/9] building kubelet … 41 s".
func (p *Progress) Step(n, total int, what string, f func() error) error {
	line := fmt.Sprintf("[%d/%d] %s … ", n, total, what)
	p.print(line)
	begin := time.Now()
	done := make(chan struct{})
	if p.live {
		go p.count(line, begin, done)
	}
	err := f()
	close(done)
	if p.live {
		p.print("\r" + line)
	}
	if err != nil {
		p.print("failed\n")
		return err
	}
	p.print(fmt.Sprintf("%s\n", time.Since(begin).Round(time.Second/10)))
	return nil
}

func (p *Progress) count(line string, begin time.Time, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			p.print(fmt.Sprintf("\r%s%s", line, time.Since(begin).Round(time.Second)))
		}
	}
}

// Event prints something that has happened with the seconds since the start.
func (p *Progress) Event(format string, args ...any) {
	p.print(fmt.Sprintf("%6.1f s  %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...)))
}

// Say prints a line as it is.
func (p *Progress) Say(format string, args ...any) { p.print(fmt.Sprintf(format, args...) + "\n") }

func (p *Progress) print(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.out, s)
}
