package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// recordFile in the gate's folder.
const recordFile = "mode.json"

// record is what survives the gate's crash. It is on disk before a command is answered.
type record struct {
	Mode      control.Mode `json:"mode"`
	Migration string       `json:"migration,omitempty"`
	Epoch     int64        `json:"epoch,omitempty"`
	Log       string       `json:"log,omitempty"`
	Broken    string       `json:"broken,omitempty"`
	HeldSince *time.Time   `json:"heldSince,omitempty"`
	ResumedAt *time.Time   `json:"resumedAt,omitempty"`
}

func readRecord(folder string) (record, bool, error) {
	b, err := os.ReadFile(filepath.Join(folder, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, false, nil
	}
	var r record
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return record{}, false, fmt.Errorf("reading mode record: %w", err)
	}
	return r, true, nil
}

// write replaces the record atomically and durably.
func (r record) write(folder string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding mode record: %w", err)
	}
	path := filepath.Join(folder, recordFile)
	if err := writeSynced(path+".new", b); err != nil {
		return fmt.Errorf("writing mode record: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing mode record: %w", err)
	}
	dir, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("writing mode record: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("writing mode record: %w", err)
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// afterCrash is the record that a gate starts with when it finds r. Its app's connections and its log died with it.
func (r record) afterCrash() record {
	const died = "the gate restarted during the migration"
	switch r.Mode {
	case control.ModeHolding, control.ModeHeld, control.ModeLogging:
		// END was not written, so no target can commit: the source goes on at once.
		r.Mode, r.Broken = control.ModeOpen, died
	case control.ModeHandingOver:
		// END may have been written: consume nothing before somebody decides.
		r.Broken = died
	case control.ModeReplaying:
		r.Mode, r.Broken = control.ModeClosed, died
	default:
		// These survive a restart as they are. Of a target that has verified END nothing is under way that could be
		// lost: everything is settled, the app reconnects to a session that is still virtual, and the commit may
		// have been decided already.
	}
	return r
}
