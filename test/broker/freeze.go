package broker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const freezeTimeout = 5 * time.Second

// freeze stops all processes, and waits until they have stopped.
func (p *process) freeze() error {
	for begin := time.Now(); time.Since(begin) < freezeTimeout; time.Sleep(time.Millisecond) {
		running := 0
		for _, pid := range p.members() {
			if stopped(pid) {
				continue
			}
			running++
			if err := signal(pid, syscall.SIGSTOP); err != nil {
				return fmt.Errorf("freezing RabbitMQ: %w", err)
			}
		}
		if running == 0 {
			return nil
		}
	}
	return fmt.Errorf("freezing RabbitMQ: a process has not stopped within %s", freezeTimeout)
}

func (p *process) thaw() error {
	var errs []error
	for _, pid := range p.members() {
		errs = append(errs, signal(pid, syscall.SIGCONT))
	}
	return errors.Join(errs...)
}

// members are the processes of the PID namespace.
func (p *process) members() []int {
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.cmd.Process.Pid))
	if err != nil {
		return nil // it has ended
	}
	var members []int
	links, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, link := range links {
		if other, err := os.Readlink(link); err == nil && other == namespace {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(link))))
			members = append(members, pid)
		}
	}
	return members
}

// signal a process that may have ended.
func signal(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// stopped tells whether a process has been stopped, or has ended.
func stopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, fields, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(" "))
	return len(fields) > 0 && bytes.IndexByte([]byte("TZX"), fields[0]) >= 0
}
