package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
)

// record of one checkpoint, from before the kubelet is asked until the migration is over.
type record struct {
	client.CheckpointRequest
	// Asked is when the kubelet was first asked.
	Asked time.Time `json:"asked"`
	// Checkpoint is nil until the kubelet has answered.
	Checkpoint *client.Checkpoint `json:"checkpoint,omitempty"`
	// Archive on this node; removed once delivered.
	Archive string `json:"archive,omitempty"`
	// Delivery to the pod DeliveredTo, nil until it is acknowledged.
	Delivery    *client.Delivery `json:"delivery,omitempty"`
	DeliveredTo string           `json:"deliveredTo,omitempty"`
}

// records of the node's checkpoints, in files.
type records struct {
	folder   string
	archives string

	seed  maphash.Seed
	locks [64]sync.Mutex // by hash of the pod's container
}

func newRecords(folder, archives string) *records {
	return &records{folder: folder, archives: archives, seed: maphash.MakeSeed()}
}

// lock a container of a pod: its checkpoints and their deliveries happen one after the other.
func (s *records) lock(podUID, container string) (unlock func()) {
	l := &s.locks[maphash.String(s.seed, podUID+"/"+container)%uint64(len(s.locks))]
	l.Lock()
	return l.Unlock
}

func (s *records) file(migration, podUID, container string) string {
	return filepath.Join(s.folder, migration, podUID, container+".json")
}

// archive is the name that the agent gives to an archive of the kubelet: the kubelet's own have a resolution of one
// second, and a second archive in that second would take its place.
func (s *records) archive(r record) string {
	return filepath.Join(s.archives, fmt.Sprintf("ms2m-%s-%s-%s.tar", r.Migration, r.PodUID, r.Container))
}

// get returns nil when there is no record.
func (s *records) get(migration, podUID, container string) (*record, error) {
	b, err := os.ReadFile(s.file(migration, podUID, container))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint's record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("decoding checkpoint's record: %w", err)
	}
	return &r, nil
}

func (s *records) put(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding checkpoint's record: %w", err)
	}
	file := s.file(r.Migration, r.PodUID, r.Container)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("writing checkpoint's record: %w", err)
	}
	err = os.WriteFile(file+".new", b, 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("writing checkpoint's record: %w", err)
	}
	return nil
}

// all records of a migration, or of every migration for "*".
func (s *records) all(migration string) ([]record, error) {
	files, err := filepath.Glob(filepath.Join(s.folder, migration, "*", "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing checkpoints: %w", err)
	}
	var found []record
	for _, f := range files {
		var r record
		if b, err := os.ReadFile(f); err == nil && json.Unmarshal(b, &r) == nil {
			found = append(found, r)
		}
	}
	return found, nil
}

// remove a record with the archives that the kubelet made for it, named or not: an agent that dies while the kubelet
// works leaves one without a name.
func (s *records) remove(r record) error {
	paths := []string{s.archive(r), s.file(r.Migration, r.PodUID, r.Container)}
	if r.Checkpoint == nil {
		orphans, err := s.orphans(r)
		if err != nil {
			return err
		}
		paths = append(orphans, paths...)
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing checkpoint: %w", err)
		}
	}
	// Both succeed with the last record only.
	_ = os.Remove(filepath.Join(s.folder, r.Migration, r.PodUID))
	_ = os.Remove(filepath.Join(s.folder, r.Migration))
	return nil
}

// orphans are the archives of the record's container that the kubelet has written since it was asked.
func (s *records) orphans(r record) ([]string, error) {
	named, err := filepath.Glob(filepath.Join(s.archives, fmt.Sprintf("checkpoint-%s_%s-%s-*.tar", r.Pod, r.Namespace, r.Container)))
	if err != nil {
		return nil, fmt.Errorf("listing archives: %w", err)
	}
	var orphans []string
	for _, path := range named {
		if info, err := os.Stat(path); err == nil && !info.ModTime().Before(r.Asked) {
			orphans = append(orphans, path)
		}
	}
	return orphans, nil
}
