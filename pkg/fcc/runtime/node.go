package runtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// recordNode tells the agent what the wrapper finds on the node, and later calls which CRIU to use. A failure costs only
// the agent's report.
func (w *wrapper) recordNode() {
	r := fcc.NodeRecord{Runc: version(w.Runc, "runc", "--version")}
	for _, path := range criuCandidates() {
		if v := version(path, "Version:", "--version"); newer(v, r.CRIU) {
			r.CRIU, r.CRIUPath = v, path
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		r.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	_ = fcc.WriteNodeRecord(w.Root, r)
}

// criuCandidates are the node's own CRIU and the one that came with the installation, which lies beside this program's
// folder.
func criuCandidates() []string {
	candidates := []string{find("criu")}
	if self, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(self), "../criu/criu"))
	}
	return candidates
}

// environ is this process's environment with the recorded CRIU first in PATH, where runc looks for it.
func (w *wrapper) environ() []string {
	environ := os.Environ()
	r, err := fcc.ReadNodeRecord(w.Root)
	if err != nil || !filepath.IsAbs(r.CRIUPath) {
		return environ
	}
	return append(environ, "PATH="+filepath.Dir(r.CRIUPath)+":"+os.Getenv("PATH")) // of two, the last counts
}

// version is the last word of the first line that a program prints, "" if it does not run or the line begins with
// another word.
func version(program, begins, flag string) string {
	out, err := exec.Command(program, flag).Output() // #nosec G204 -- fixed programs
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(out), "\n")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != begins {
		return ""
	}
	return words[len(words)-1]
}

// newer compares versions of dotted numbers; any is newer than none.
func newer(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range as {
		x, _ := strconv.Atoi(as[i])
		y := -1
		if i < len(bs) && bs[i] != "" {
			y, _ = strconv.Atoi(bs[i])
		}
		if a == "" || x < y {
			return false
		}
		if x > y {
			return true
		}
	}
	return false
}
