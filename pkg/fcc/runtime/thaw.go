package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

const (
	// thawCommand is a subcommand of this program's own: the watch over one freeze.
	thawCommand = "ms2m-thaw"
	// frozenAtMost is how long a container may be frozen. It is the life of a cut token: a checkpoint that takes longer
	// is void, and the source must go on.
	frozenAtMost = 30 * time.Second
	// look is the time between two looks for a request, thawLook that between two looks at the container.
	look     = 100 * time.Millisecond
	thawLook = 2 * time.Second
)

// guardFreeze starts the watch over a freeze that is about to begin. Containerd freezes a container for its checkpoint
// and thaws it after it, but not when the call is broken off: the kubelet breaks it off when the agent that asked dies.
func (w *wrapper) guardFreeze(c command) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("watching over the freeze: %w", err)
	}
	cmd := exec.Command(self, c.with(thawCommand, c.id)...) // #nosec G204 -- this program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}    // it outlives this process, with none of its streams
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("watching over the freeze: %w", err)
	}
	return cmd.Process.Release()
}

// thaw ends when the container is not frozen any more, and thaws it when that is requested or overdue.
func (w *wrapper) thaw(c command) error {
	began := time.Now()
	podUID, name, err := w.identity(c)
	if err != nil {
		return err
	}
	defer fcc.ForgetThaw(w.Root, podUID, name)
	for next := began.Add(thawLook); ; time.Sleep(look) {
		requested := fcc.ThawRequested(w.Root, podUID, name, began)
		if !requested && time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(thawLook)
		frozen, err := w.frozen(c)
		if err != nil || !frozen {
			return err
		}
		if requested || time.Since(began) > frozenAtMost {
			return w.run(c.with("resume", c.id)...)
		}
	}
}

// state is what `runc state` tells.
type state struct {
	Status      string            `json:"status"`
	Annotations map[string]string `json:"annotations"`
}

func (w *wrapper) state(c command) (state, error) {
	var s state
	out, err := exec.Command(w.Runc, c.with("state", c.id)...).Output() // #nosec G204 -- the node's runtime
	if err != nil {
		return s, fmt.Errorf("reading container's state: %w", err)
	}
	var found struct {
		Annotations map[string]any `json:"annotations"`
	}
	if err := errors.Join(json.Unmarshal(out, &s), json.Unmarshal(out, &found)); err != nil {
		return s, fmt.Errorf("decoding container's state: %w", err)
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	for key := range ofCRIO {
		s.Annotations[key] = annotationOf(found.Annotations, key)
	}
	return s, nil
}

func (w *wrapper) frozen(c command) (bool, error) {
	s, err := w.state(c)
	return s.Status == "paused", err
}

// identity of the container in Kubernetes.
func (w *wrapper) identity(c command) (podUID, name string, err error) {
	s, err := w.state(c)
	if err != nil {
		return "", "", err
	}
	podUID, name = s.Annotations[annotationPodUID], s.Annotations[annotationName]
	if err := errors.Join(fcc.CheckIDs(podUID), fcc.CheckContainer(name)); err != nil {
		return "", "", fmt.Errorf("reading annotations of the container runtime: %w", err)
	}
	return podUID, name, nil
}
