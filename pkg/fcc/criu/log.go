// Package criu reads CRIU's logs for people, and keeps the options that containers of prepared pods are dumped and
// restored with.
package criu

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// quoted bounds the lines of a log that a cause repeats.
const quoted = 6

// remedies for causes that are known, by what their line in the log contains.
var remedies = []struct{ line, remedy string }{
	{"Unsupported proto 262", "the process listens with MPTCP, which CRIU cannot dump: recreate the pod with runtimeClassName ms2m, which switches MPTCP off, or set GODEBUG=multipathtcp=0"},
	{"io_uring", "the process uses io_uring, which CRIU cannot dump: recreate the pod with runtimeClassName ms2m, which denies it"},
	{"Connected TCP socket", "an open TCP connection needs the option tcp-close: recreate the pod with runtimeClassName ms2m"},
	{"Can't bind inet socket back", "a socket is bound to the source pod's address: let the process listen on all addresses"},
	{"Can't get 1:16 opt", "kernels from 6.16 need CRIU 4.2 or later: install it on the node"},
	{"Unexpected rt vDSO area bounds", "kernels from 6.13 need CRIU 4.1 or later: install it on the node"},
	{"has bad size", "a file that the process has open has changed since the checkpoint"},
	{"Some file locks are hold", "a file lock needs the option file-locks: recreate the pod with runtimeClassName ms2m"},
	{"External socket is used", "the process is connected to a unix socket outside its container"},
	{"Can't dump ghost file", "an open file that was deleted is larger than the option ghost-limit"},
	{"Can't get rlimit", "root on the node lacks CAP_SYS_RESOURCE, without which CRIU can only dump root's processes: give the runtime that capability, or let the container run as root"},
	{"cpu_has_feature", "the target's CPU lacks a feature that the process uses: choose a node with the same CPU"},
}

// Cause is what a CRIU log says about a failure: its error lines, and the remedy where it is known.
type Cause struct {
	Lines  []string
	Remedy string
}

// String is one line for people.
func (c Cause) String() string {
	s := strings.Join(c.Lines, "; ")
	if c.Remedy != "" {
		s += " (" + c.Remedy + ")"
	}
	return s
}

// ReadCause reads the log file in folder. The zero Cause means that the log names no error.
func ReadCause(folder, file string) (Cause, error) {
	f, err := os.Open(filepath.Join(folder, file)) // #nosec G304 -- the folder is the runtime's
	if err != nil {
		return Cause{}, fmt.Errorf("reading CRIU's log: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return FindCause(f)
}

// FindCause keeps the first error lines of a log: the first is the cause, the others follow from it.
func FindCause(log io.Reader) (Cause, error) {
	var c Cause
	r := bufio.NewReader(log)
	for {
		line, err := r.ReadString('\n')
		if _, text, ok := strings.Cut(line, "Error ("); ok && len(c.Lines) < quoted {
			// "(00.012345) 1: Error (criu/file.c:12): what happened"
			if _, message, ok := strings.Cut(text, "): "); ok {
				text = message
			}
			c.add(strings.TrimSpace(text))
		}
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("reading CRIU's log: %w", err)
		}
	}
}

func (c *Cause) add(line string) {
	// Harmless where root lacks CAP_SYS_RESOURCE, and first in the log.
	if strings.Contains(line, "RLIMIT_NOFILE") {
		return
	}
	c.Lines = append(c.Lines, line)
	for _, r := range remedies {
		if c.Remedy == "" && strings.Contains(line, r.line) {
			c.Remedy = r.remedy
		}
	}
}
