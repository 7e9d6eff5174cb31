package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// message of a program: it asks for something, and goes on when it gets a line; or tells the results of a case.
type message struct {
	Ask     string          `json:"ask"`
	Case    int             `json:"case"`
	Results json.RawMessage `json:"results"`
}

// Run the cases with a program against a broker, and return the results by the cases' names. Of all runs at a broker, the
// name is the run's own. What the program asks for, ask does.
func (p *Program) Run(ctx context.Context, name, uri string, cases []Case, ask func(string) error) (map[string][]Result, error) {
	prefix := func(i int) string { return fmt.Sprintf("%s-%d-", name, i) }
	job, err := encodeJob(uri, cases, prefix)
	if err != nil {
		return nil, err
	}
	cmd := p.command(ctx)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the program of %s: %w", p.Name, err)
	}
	c := conversation{in: in, out: out, ask: ask, cases: cases, prefix: prefix, results: map[string][]Result{}}
	err = c.hold(job)
	_ = in.Close() // ends the program, if it has not
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return c.results, fmt.Errorf("running the program of %s: %w\n%s", p.Name, err, stderr.Bytes())
	}
	return c.results, nil
}

func encodeJob(uri string, cases []Case, prefix func(int) string) ([]byte, error) {
	job := struct {
		URI   string            `json:"uri"`
		Cases []json.RawMessage `json:"cases"`
	}{URI: uri}
	for i, c := range cases {
		steps, err := c.encode(prefix(i))
		if err != nil {
			return nil, err
		}
		job.Cases = append(job.Cases, steps)
	}
	b, err := json.Marshal(job)
	return append(b, '\n'), err
}

type conversation struct {
	in      io.Writer
	out     io.Reader
	ask     func(string) error
	cases   []Case
	prefix  func(int) string
	results map[string][]Result
}

// hold the conversation until the program ends.
func (c *conversation) hold(job []byte) error {
	if _, err := c.in.Write(job); err != nil {
		return err
	}
	lines := bufio.NewScanner(c.out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("it printed %q: %w", lines.Text(), err)
		}
		if err := c.take(m); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *conversation) take(m message) error {
	if m.Ask != "" {
		err := c.ask(m.Ask)
		_, written := c.in.Write([]byte("\n"))
		return errors.Join(err, written)
	}
	if m.Case < 0 || m.Case >= len(c.cases) {
		return fmt.Errorf("it printed results of case %d of %d", m.Case, len(c.cases))
	}
	results, err := decode(m.Results, c.prefix(m.Case))
	c.results[c.cases[m.Case].Name] = results
	return err
}
