package fcc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// NodeRecord is what the wrapper, which runs on the node itself, found there for the agent, which does not see the
// node's programs.
type NodeRecord struct {
	// Runc, CRIU and Kernel are versions; empty when the program does not run.
	Runc string `json:"runc"`
	CRIU string `json:"criu"`
	// CRIUPath is the program that the wrapper dumps and restores with.
	CRIUPath string    `json:"criuPath,omitempty"`
	Kernel   string    `json:"kernel"`
	Recorded time.Time `json:"recorded"`
}

const nodeFile = "node.json"

// ReadNodeRecord reads the record in the node folder root.
func ReadNodeRecord(root string) (NodeRecord, error) {
	var r NodeRecord
	b, err := os.ReadFile(filepath.Join(root, nodeFile)) // #nosec G304 -- the node's folder
	if err != nil {
		return r, fmt.Errorf("reading node record: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("decoding node record: %w", err)
	}
	return r, nil
}

// WriteNodeRecord replaces the record in the node folder root.
func WriteNodeRecord(root string, r NodeRecord) error {
	r.Recorded = time.Now()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding node record: %w", err)
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("writing node record: %w", err)
	}
	f, err := os.CreateTemp(root, nodeFile+"-")
	if err != nil {
		return fmt.Errorf("writing node record: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(root, nodeFile))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing node record: %w", err), os.Remove(f.Name()))
	}
	return nil
}
