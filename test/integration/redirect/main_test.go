//go:build integration

package redirect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

// envBinaries tells this process that it is in a network namespace of its own, and where the product's programs are.
const envBinaries = "MS2M_TEST_REDIRECT_BINARIES"

// TestMain runs the tests in a network namespace of their own, which stands for all that is outside the pod.
func TestMain(m *testing.M) {
	if os.Getenv(envBinaries) != "" {
		os.Exit(m.Run())
	}
	code, err := isolate()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testing the redirect:", err)
		code = 1
	}
	os.Exit(code)
}

// isolate builds what needs the machine's network, and runs this program again without it.
func isolate() (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("network namespaces need root: run this with sudo, for example")
	}
	cache, err := build.DefaultCache()
	if err != nil {
		return 1, err
	}
	if _, err := build.RabbitMQRoot(context.Background(), cache, build.NewProgress(os.Stderr)); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "ms2m-redirect-test")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// The gate runs as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 1, err
	}
	for _, name := range []string{"ms2m-gate", "ms2m-runc"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "ms2m.dev/ms2m-descheduler/cmd/"+name).CombinedOutput()
		if err != nil {
			return 1, fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	again := exec.Command(os.Args[0], os.Args[1:]...)
	again.Env = append(os.Environ(), envBinaries+"="+dir)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = again.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
