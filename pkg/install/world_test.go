package install

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestMain lets the test's binary be a container runtime: a process that is started again when it ends.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BE_RUNTIME_IN"); dir != "" {
		serve(dir, os.Getenv("BE_RUNTIME"))
		return
	}
	os.Exit(m.Run())
}

// fakeRuntime answers as containerd or CRI-O does. It knows the handlers that its configuration had when it read it.
type fakeRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	dir, name string
	runtimes  map[string]map[string]any
}

func serve(dir, name string) {
	f := &fakeRuntime{dir: dir, name: name}
	f.read()
	_ = os.Remove(filepath.Join(dir, "sock"))
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, f)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			if s == syscall.SIGHUP && name == "cri-o" {
				f.read()
				continue
			}
			server.Stop()
		}
	}()
	_ = server.Serve(listener)
}

// read the configuration, with the imports that containerd has.
func (f *fakeRuntime) read() {
	f.runtimes = map[string]map[string]any{}
	if f.name == "cri-o" {
		files, _ := filepath.Glob(filepath.Join(f.dir, "crio/crio.conf.d/*"))
		for _, file := range files {
			var c crioConfig
			f.decode(file, &c)
			for name, r := range c.CRIO.Runtime.Runtimes {
				f.runtimes[name] = r
			}
		}
		return
	}
	var main struct{ Imports []string }
	f.decode(filepath.Join(f.dir, "containerd/config.toml"), &main)
	for _, file := range append(main.Imports, filepath.Join(f.dir, "containerd/config.toml")) {
		var c struct {
			Plugins map[string]struct {
				Containerd struct{ Runtimes map[string]map[string]any }
			}
		}
		f.decode(file, &c)
		for _, p := range c.Plugins {
			for name, r := range p.Containerd.Runtimes {
				f.runtimes[name] = r
			}
		}
	}
}

func (f *fakeRuntime) decode(file string, into any) {
	b, err := os.ReadFile(file)
	if err == nil {
		err = toml.Unmarshal(b, into)
	}
	if err != nil && !os.IsNotExist(err) {
		panic(err) // as containerd does
	}
}

func (f *fakeRuntime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: f.name}, nil
}

func (f *fakeRuntime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	status := &runtimeapi.StatusResponse{Info: map[string]string{}}
	runtimes := map[string]any{"runc": map[string]any{
		"runtimeType": "io.containerd.runc.v2", "options": map[string]any{"BinaryName": "", "SystemdCgroup": true, "IoUid": 0},
	}}
	for name, r := range f.runtimes {
		status.RuntimeHandlers = append(status.RuntimeHandlers, &runtimeapi.RuntimeHandler{Name: name})
		runtimes[name] = map[string]any{
			"runtimeType": r["runtime_type"], "options": r["options"],
			"PodAnnotations": r["pod_annotations"], "ContainerAnnotations": r["container_annotations"],
		}
	}
	b, err := json.Marshal(map[string]any{"containerd": map[string]any{"defaultRuntimeName": "runc", "runtimes": runtimes}})
	status.Info["config"] = string(b)
	return status, err
}

func (f *fakeRuntime) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	list := &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{
		{Metadata: &runtimeapi.PodSandboxMetadata{Namespace: "shop", Name: "plain"}},
	}}
	if _, err := os.Stat(filepath.Join(f.dir, "pod")); err == nil {
		list.Items = append(list.Items, &runtimeapi.PodSandbox{Metadata: &runtimeapi.PodSandboxMetadata{Namespace: "shop", Name: "cart-0"}, RuntimeHandler: Handler})
	}
	return list, nil
}

// world is a node with a container runtime that is kept running.
type world struct {
	Options
	dir    string
	said   []string
	starts chan int // PIDs
}

func newWorld(t *testing.T, name string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{dir: dir, starts: make(chan int, 100), Options: Options{
		Image: filepath.Join(dir, "image"), Folder: filepath.Join(dir, "opt"), Root: filepath.Join(dir, "var"), Bin: filepath.Join(dir, "sbin"),
		Socket: filepath.Join(dir, "sock"), ContainerdConfig: filepath.Join(dir, "containerd/config.toml"), CRIOConfig: filepath.Join(dir, "crio"),
		Log: slog.New(slog.DiscardHandler),
	}}
	w.Say = func(_ context.Context, message string) { w.said = append(w.said, message) }
	for _, folder := range []string{w.Image, w.Folder, w.Root, w.Bin, filepath.Dir(w.ContainerdConfig), w.CRIOConfig} {
		require.NoError(t, os.MkdirAll(folder, 0o755))
	}
	w.write(t, filepath.Join(w.Image, "ms2m-runc"), "wrapper 1")
	t.Cleanup(w.keep(t, name))
	<-w.starts
	return w
}

// keep the runtime running, as a service manager does, until the returned function is called.
func (w *world) keep(t *testing.T, name string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this test
			cmd.Env = append(os.Environ(), "BE_RUNTIME_IN="+w.dir, "BE_RUNTIME="+name)
			if cmd.Start() == nil {
				w.starts <- cmd.Process.Pid
				_ = cmd.Wait()
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (w *world) restarts() int { return len(w.starts) }

func (w *world) write(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
}

// files of the node and their contents, but for the image and the socket.
func (w *world) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && path == w.Image {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			name, err := filepath.Rel(w.dir, path)
			require.NoError(t, err)
			files[name] = string(b)
		}
		return nil
	}))
	return files
}
