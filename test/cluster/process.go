package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const pollEvery = 100 * time.Millisecond

// process is a process that the harness started. The start time tells it from another that got the same PID later.
type process struct {
	PID int `json:"pid"`
	// Start in clock ticks since boot.
	Start uint64 `json:"start"`
}

// alive says whether the process still runs; one that only waits to be reaped does not.
func (p process) alive() bool {
	state, start, err := processStat(p.PID)
	return err == nil && start == p.Start && state != "Z" && state != "X"
}

func (p process) kill(sig syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := unix.Kill(p.PID, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("ending process %d: %w", p.PID, err)
	}
	return nil
}

func (p process) awaitEnd(ctx context.Context) error {
	return poll(ctx, fmt.Sprintf("process %d to end", p.PID), func(context.Context) (bool, error) { return !p.alive(), nil })
}

// processStat reads state and start time from /proc/PID/stat.
func processStat(pid int) (state string, start uint64, err error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, err
	}
	return parseStat(string(content))
}

func parseStat(stat string) (state string, start uint64, err error) {
	// The second field, the program's name in brackets, may contain anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("reading process status: %d fields", len(fields))
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], start, err
}

// start runs a daemon that outlives the harness, its output in the cluster's logs, and records it.
func (c *Cluster) start(name string, cmd *exec.Cmd) error {
	logFile, err := os.OpenFile(filepath.Join(c.dir, "logs", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer logFile.Close() //nolint:errcheck // the daemon has its own descriptor
	cmd.Stdout, cmd.Stderr = logFile, logFile
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true // the terminal's Ctrl-C is for the harness
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	go cmd.Wait() //nolint:errcheck // reaps it, should it end before the harness
	_, start, err := processStat(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("starting %s: it ended at once, see %s", name, logFile.Name())
	}
	return c.update(func(s *state) {
		if s.Processes == nil {
			s.Processes = map[string]process{}
		}
		s.Processes[name] = process{PID: cmd.Process.Pid, Start: start}
	})
}

// poll calls done until it says so or fails, or ctx ends.
func poll(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
