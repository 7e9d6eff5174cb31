package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running gate.
type process struct {
	cmd *exec.Cmd
	// uri for an app, and address of the metrics.
	uri, metrics string
}

// Lines of /proc/PID/status.
const (
	resident = "VmRSS"
	peak     = "VmHWM"
)

// build the gate as it is shipped.
func build(ctx context.Context, folder string) (string, error) {
	binary := filepath.Join(folder, "ms2m-gate")
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "ms2m.dev/ms2m-descheduler/cmd/ms2m-gate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building gate: %w\n%s", err, out)
	}
	return binary, nil
}

// startGate before the broker.
func (b *bench) startGate() (*process, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	upstream, err := url.Parse(b.broker)
	if err != nil {
		return nil, fmt.Errorf("parsing the broker's URI: %w", err)
	}
	folder, err := os.MkdirTemp(b.folder, "gate")
	if err != nil {
		return nil, err
	}
	p := &process{metrics: metrics}
	p.cmd = exec.Command(b.binary, "serve", "--listen", listen, "--metrics", metrics, "--folder", folder, "--upstream", upstream.Host)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting gate: %w", err)
	}
	if out, err := exec.Command(b.binary, "wait", "--address", listen).CombinedOutput(); err != nil {
		p.stop()
		return nil, fmt.Errorf("starting gate: %w\n%s", err, out)
	}
	app := *upstream
	app.Host = listen
	p.uri = app.String()
	return p, nil
}

// freeAddress on a loopback address from which nobody connects: no outgoing connection can take its port.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	_ = p.cmd.Wait()
}

// memory in bytes.
func (p *process) memory(line string) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the gate's memory: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+line+":")
	value, _, _ := strings.Cut(rest, "kB")
	kibibytes, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the gate's memory: %w", err)
	}
	return kibibytes << 10, nil
}

// usage of the gate's process since it began.
type usage struct{ allocations, cpuSeconds float64 }

// usage as its metrics tell.
func (p *process) usage(ctx context.Context) (u usage, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.metrics+"/metrics", nil)
	if err != nil {
		return u, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return u, fmt.Errorf("reading the gate's metrics: %w", err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "go_memstats_mallocs_total":
			u.allocations, err = strconv.ParseFloat(value, 64)
		case "process_cpu_seconds_total":
			u.cpuSeconds, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return u, fmt.Errorf("reading the gate's metrics: %w", err)
		}
	}
	return u, nil
}
