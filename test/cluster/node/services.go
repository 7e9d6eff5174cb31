package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Path is where programs of the node are; /opt/bin is the cluster's own folder.
	Path = "/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// Containerd's socket in the node.
	Containerd   = "/run/containerd/containerd.sock"
	pollEvery    = 50 * time.Millisecond
	restartAfter = time.Second
)

// supervisor keeps services running, as systemd would, and reaps what is orphaned in the node.
type supervisor struct {
	mu      sync.Mutex // held while a service starts, so that its end is not seen before its PID is known
	running map[int]Service
}

func supervise(spec Spec) error {
	s := &supervisor{running: map[int]Service{}}
	for _, service := range spec.Services {
		if !service.AfterAPI {
			if err := s.start(service); err != nil {
				return err
			}
		}
	}
	go s.startAfterAPI(spec)
	return s.reap()
}

// startAfterAPI spares kubelet and kube-proxy their backoff while the API server is starting.
func (s *supervisor) startAfterAPI(spec Spec) {
	await("unix", Containerd)
	await("tcp", spec.APIServer)
	for _, service := range spec.Services {
		if service.AfterAPI {
			s.keepStarting(service)
		}
	}
}

func await(network, address string) {
	for {
		if conn, err := net.DialTimeout(network, address, time.Second); err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(pollEvery)
	}
}

func (s *supervisor) start(service Service) error {
	logFile, err := os.OpenFile(filepath.Join("/var/log", service.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", service.Name, err)
	}
	defer logFile.Close() //nolint:errcheck // the service has its own descriptor
	s.mu.Lock()
	defer s.mu.Unlock()
	process, err := os.StartProcess(filepath.Join("/opt/bin", service.Argv[0]), service.Argv, &os.ProcAttr{
		Dir: "/", Env: []string{"PATH=" + Path, "HOME=/root"}, Files: []*os.File{nil, logFile, logFile},
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", service.Name, err)
	}
	s.running[process.Pid] = service
	return process.Release()
}

func (s *supervisor) keepStarting(service Service) {
	for {
		err := s.start(service)
		if err == nil {
			return
		}
		slog.Error("Could not start a service", "service", service.Name, "error", err)
		time.Sleep(restartAfter)
	}
}

// reap waits for every process whose parent is gone, and restarts services.
func (s *supervisor) reap() error {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			time.Sleep(pollEvery) // between the end of the last service and its restart
			continue
		case err != nil:
			return fmt.Errorf("waiting for processes: %w", err)
		}
		s.mu.Lock()
		service, ok := s.running[pid]
		delete(s.running, pid)
		s.mu.Unlock()
		if ok {
			slog.Warn("A service ended", "service", service.Name, "exit", status.ExitStatus(), "signal", status.Signal())
			time.AfterFunc(restartAfter, func() { s.keepStarting(service) })
		}
	}
}
