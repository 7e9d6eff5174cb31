package runtime

import (
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

// recordNodeOnce records the node when nothing has yet: containerd asks for runc's features only when it starts.
func (w *wrapper) recordNodeOnce() {
	if _, err := fcc.ReadNodeRecord(w.Root); err != nil {
		w.recordNode()
	}
}

// recordNode tells the agent what the wrapper finds on the node. A failure costs only the agent's report.
func (w *wrapper) recordNode() {
	r := fcc.NodeRecord{Runc: version(w.Runc, "--version"), CRIU: version("criu", "--version")}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		r.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	_ = fcc.WriteNodeRecord(w.Root, r)
}

// version is the last word of the first line that a program prints, "" if it does not run.
func version(program, flag string) string {
	out, err := exec.Command(program, flag).Output() // #nosec G204 -- fixed programs
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}
