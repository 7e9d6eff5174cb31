package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
	"ms2m.dev/ms2m-descheduler/pkg/fcc/criu"
)

// prepareContainer edits the configuration of a prepared pod's container.
func (w *wrapper) prepareContainer(s *spec, podUID, name string) error {
	if err := os.MkdirAll(w.Root, 0o700); err != nil {
		return fmt.Errorf("making the node's folder: %w", err)
	}
	options, err := criu.WriteOptions(w.Root)
	if err != nil {
		return err
	}
	s.object("annotations")[criu.AnnotationConfig] = options
	denyIOUring(s)
	if name != GateContainer {
		if err := s.refuseGateUser(name); err != nil {
			return err
		}
	} else if err := w.mountGateFolder(s, podUID); err != nil {
		return err
	}
	return s.write()
}

// refuseGateUser refuses an app as the gate's user, whose connections are not redirected. The webhook, too, refuses that
// of the pod's spec; an image's own user is known only here.
func (s *spec) refuseGateUser(container string) error {
	uid, _ := s.object("process", "user")["uid"].(json.Number)
	if uid.String() == strconv.Itoa(GateUID) {
		return fmt.Errorf("container %q runs as user %d, which is the gate's: choose another with runAsUser", container, GateUID)
	}
	return nil
}

// ioUring are the calls that a container may not make: CRIU cannot dump their rings. Programs fall back to epoll.
var ioUring = []any{"io_uring_setup", "io_uring_enter", "io_uring_register"}

// denyIOUring adds the denial to the container's seccomp profile, or makes one that denies nothing else.
func denyIOUring(s *spec) {
	const enosys = 38
	profile, ok := s.object("linux")["seccomp"].(map[string]any)
	if !ok {
		profile = map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures()}
		s.object("linux")["seccomp"] = profile
	}
	rules := []any{}
	for _, r := range s.list(profile, "syscalls") {
		// Two rules for one call contradict each other: the profile's own go.
		if rule, ok := r.(map[string]any); ok {
			names := slices.DeleteFunc(s.list(rule, "names"), func(n any) bool { return slices.Contains(ioUring, n) })
			if len(names) == 0 {
				continue
			}
			rule["names"] = names
		}
		rules = append(rules, r)
	}
	profile["syscalls"] = append(rules, map[string]any{"names": ioUring, "action": "SCMP_ACT_ERRNO", "errnoRet": enosys})
}

// architectures whose calls the node's kernel takes: a profile kills a process at a call of one that it does not list.
func architectures() []any {
	switch goruntime.GOARCH {
	case "amd64":
		return []any{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}
	case "arm64":
		return []any{"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}
	default:
		return []any{}
	}
}

// mountGateFolder gives the gate its folder on the node, for its control socket and its mode record.
func (w *wrapper) mountGateFolder(s *spec, podUID string) error {
	mounts := s.list(s.tree, "mounts")
	for _, m := range mounts {
		if m, ok := m.(map[string]any); ok && m["destination"] == GateFolder {
			return fmt.Errorf("preparing gate: the pod mounts something at %s: remove that volume mount", GateFolder)
		}
	}
	folder, err := makeGateFolder(w.Root, podUID)
	if err != nil {
		return fmt.Errorf("preparing gate: %w", err)
	}
	s.tree["mounts"] = append(mounts, map[string]any{
		"destination": GateFolder, "type": "bind", "source": folder,
		"options": []any{"bind", "rw", "nosuid", "nodev", "noexec", "rprivate"},
	})
	// With the folder's group this lets the agent, root without any capability, connect to the gate's socket.
	s.object("process", "user")["umask"] = 0o007
	return nil
}

// makeGateFolder makes the folder that gate and agent share: the gate's UID owns it, and what the gate makes there
// belongs to group 0, the agent's.
func makeGateFolder(root, podUID string) (string, error) {
	if err := fcc.CheckIDs(podUID); err != nil {
		return "", err
	}
	folder := filepath.Join(root, "gates", podUID)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	d, err := os.OpenFile(folder, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	return folder, errors.Join(d.Chown(GateUID, 0), d.Chmod(os.ModeSetgid|0o770), d.Close())
}
