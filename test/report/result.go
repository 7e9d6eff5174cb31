// Package report tells people and programs what a live migration did: a result as JSON, a table for the terminal and a
// timeline picture.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Result of one migration under load. Its JSON form is read by others: fields are only ever added.
type Result struct {
	Strategy string `json:"strategy"`
	// Phases in their order, with the seconds that each took.
	Phases       Phases  `json:"phases"`
	TotalSeconds float64 `json:"totalSeconds"`
	// PauseMillis are the longest times in which messages waited and no instance processed any, in milliseconds.
	PauseMillis PauseMillis `json:"pauseMillis"`
	// Published by the producers, and Processed: applied to the state.
	Published         uint64 `json:"published"`
	Processed         uint64 `json:"processed"`
	Lost              uint64 `json:"lost"`
	Duplicated        uint64 `json:"duplicated"`
	Reordered         uint64 `json:"reordered"`
	OutputsDuplicated uint64 `json:"outputsDuplicated"`
	OutputsLost       uint64 `json:"outputsLost"`
	// StateEqual: the state, and what the outputs said of it, are what they would be without the migration.
	StateEqual   bool   `json:"stateEqual"`
	ArchiveBytes uint64 `json:"archiveBytes"`
	// Replayed messages: those that the target took from the log.
	Replayed uint64 `json:"replayed"`
	// Lambda and Mu are the arrival and the service rate in messages per second.
	Lambda float64 `json:"lambda"`
	Mu     float64 `json:"mu"`
}

// PauseMillis are pauses of processing.
type PauseMillis struct {
	Checkpoint float64 `json:"checkpoint"`
	Handover   float64 `json:"handover"`
	Longest    float64 `json:"longest"`
}

// Exact tells whether nothing was lost, doubled, reordered or changed.
func (r Result) Exact() bool {
	return r.StateEqual && r.Lost+r.Duplicated+r.Reordered+r.OutputsDuplicated+r.OutputsLost == 0
}

// WriteJSON writes the result to a file, whose folder it makes.
func (r Result) WriteJSON(path string) error { return writeJSON(path, r) }

func writeJSON(path string, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encoding result: %w", err)
	}
	return writeFile(path, "result", text.Bytes())
}

// writeFile makes its folder, too.
func writeFile(path, what string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the %s's folder: %w", what, err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", what, err)
	}
	return nil
}

// Phase of a migration.
type Phase struct {
	Name    string
	Seconds float64
}

// Phases in their order. In JSON they are an object from name to seconds, in the same order.
type Phases []Phase

// MarshalJSON writes an object.
func (p Phases) MarshalJSON() ([]byte, error) {
	var text bytes.Buffer
	text.WriteByte('{')
	for i, phase := range p {
		if i > 0 {
			text.WriteByte(',')
		}
		name, err := json.Marshal(phase.Name)
		if err != nil {
			return nil, fmt.Errorf("encoding phase: %w", err)
		}
		seconds, err := json.Marshal(phase.Seconds)
		if err != nil {
			return nil, fmt.Errorf("encoding seconds of %s: %w", phase.Name, err)
		}
		fmt.Fprintf(&text, "%s:%s", name, seconds)
	}
	text.WriteByte('}')
	return text.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON wrote, in its order.
func (p *Phases) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return fmt.Errorf("decoding phases: no object: %s", text)
	}
	*p = nil
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("decoding phase: %w", err)
		}
		phase := Phase{Name: fmt.Sprint(name)}
		if err := decoder.Decode(&phase.Seconds); err != nil {
			return fmt.Errorf("decoding seconds of %s: %w", phase.Name, err)
		}
		*p = append(*p, phase)
	}
	return nil
}
