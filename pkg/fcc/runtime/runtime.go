package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/pkg/fcc"
)

// Kinds of containers, by annotationType.
const (
	kindSandbox   = "sandbox"
	kindContainer = "container"
)

// wrapper does one call of runc's command line.
type wrapper struct {
	Config
	tickets *fcc.Store
	args    []string
}

// Main does what the arguments after the program's name ask and returns the exit code. It returns only if this process
// was not replaced by runc.
func Main(args []string) int {
	c := parse(args)
	config, err := LoadConfig()
	if err == nil {
		w := &wrapper{Config: config, tickets: fcc.NewStore(config.Root), args: args}
		err = w.do(c)
	}
	if err != nil {
		report(c, err)
		return 1
	}
	return 0
}

func (w *wrapper) do(c command) error {
	switch c.name {
	case "create":
		return w.create(c)
	case "start":
		if done, err := w.resume(c); done {
			return err
		}
	case "checkpoint":
		return w.checkpoint(c)
	case "pause":
		if err := w.guardFreeze(c); err != nil {
			return err
		}
	case thawCommand:
		return w.thaw(c)
	case "features":
		w.recordNode()
	}
	return w.replace()
}

// create prepares a pod's sandbox or container, and restores a container that has a ticket instead of creating it.
func (w *wrapper) create(c command) error {
	bundle, err := c.bundle()
	if err != nil {
		return err
	}
	s, err := readSpec(bundle)
	if err != nil {
		return err
	}
	switch s.annotation(annotationType) {
	case kindSandbox:
		w.recordNodeOnce()
		if err := prepareSandbox(s); err != nil {
			return err
		}
	case kindContainer:
		podUID, name := s.annotation(annotationPodUID), s.annotation(annotationName)
		if err := errors.Join(fcc.CheckIDs(podUID), fcc.CheckContainer(name)); err != nil {
			return fmt.Errorf("reading annotations of the container runtime: %w", err)
		}
		if byCRIO(s.object("annotations")) {
			// CRI-O has no container for the sandbox itself, unless containers of the pod share their processes.
			w.recordNodeOnce()
			if err := prepareSandbox(s); err != nil {
				return err
			}
		}
		if err := w.prepareContainer(s, podUID, name); err != nil {
			return err
		}
		if !s.restored(name) && !w.ticketExists(podUID, name) {
			break
		}
		if err := w.restore(c, s, bundle, podUID, name); !errors.Is(err, errCommitted) {
			return err
		}
	}
	return w.replace()
}

// ticketExists looks for a ticket of a container whose pod does not ask: whoever takes the annotation off the pod does
// not get the image started.
func (w *wrapper) ticketExists(podUID, name string) bool {
	_, err := w.tickets.Get(podUID, name)
	return !errors.Is(err, fcc.ErrNoTicket)
}

// checkpoint dumps, and puts CRIU's cause of a failure on the first line: the one that containerd and the kubelet show.
func (w *wrapper) checkpoint(c command) error {
	if c.flags["status-fd"] != "" {
		return w.replace() // it hands a descriptor through
	}
	cmd := exec.Command(w.Runc, w.args...) // #nosec G204 -- the node's runtime
	cmd.Env = w.environ()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := runTied(cmd)
	if err != nil {
		fmt.Println(w.explain(err, c, c.flags["work-path"], "dump.log"))
	}
	_, _ = os.Stdout.Write(output.Bytes())
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return err
}

// run runs runc to its end with this process's standard streams, which are the container's.
func (w *wrapper) run(args ...string) error {
	cmd := exec.Command(w.Runc, args...) // #nosec G204 -- the node's runtime
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = w.environ()
	return runTied(cmd)
}

// runTied runs a command that dies with this process.
func runTied(cmd *exec.Cmd) error {
	// The signal is tied to the thread that starts the command.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	return cmd.Run()
}

// replace this process by runc with the same arguments.
func (w *wrapper) replace() error {
	err := unix.Exec(w.Runc, append([]string{w.Runc}, w.args...), w.environ())
	return fmt.Errorf("executing %s: %w: name the node's runc in %s", w.Runc, err, configFile)
}
