// Command go carries out cases with amqp091-go; see ../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// job as it comes in the first line.
type job struct {
	URI   string   `json:"uri"`
	Cases [][]step `json:"cases"`
}

func main() {
	if err := run(bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in *bufio.Reader, out *json.Encoder) error {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	ask := func(what string) error {
		if err := out.Encode(map[string]string{"ask": what}); err != nil {
			return err
		}
		_, err := in.ReadBytes('\n')
		return err
	}
	for i, steps := range j.Cases {
		s := newSession(j.URI, ask)
		results := s.carryOut(steps)
		s.end()
		if err := out.Encode(map[string]any{"case": i, "results": results}); err != nil {
			return err
		}
	}
	return nil
}
