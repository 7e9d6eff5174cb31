package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sockets of container runtimes, where they listen unless told otherwise.
var sockets = []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock"}

const (
	// answerBound is how long the container runtime may take for an answer.
	answerBound = 10 * time.Second
	// look is the time between two looks at a container runtime that starts.
	look = 200 * time.Millisecond
)

// cri is the node's container runtime, spoken to as the kubelet does.
type cri struct {
	socket string
	// name of the runtime as it gives it: containerd, cri-o.
	name string
	conn *grpc.ClientConn
	api  runtimeapi.RuntimeServiceClient
}

// connect to the runtime at the socket, "" for the one that is there.
func connect(ctx context.Context, socket string) (*cri, error) {
	if socket == "" {
		i := slices.IndexFunc(sockets, func(s string) bool { _, err := os.Stat(s); return err == nil })
		if i < 0 {
			return nil, fmt.Errorf("finding container runtime: there is no socket %v: name the node's with --socket", sockets)
		}
		socket = sockets[i]
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("connecting to container runtime: %w", err)
	}
	c := &cri{socket: socket, conn: conn, api: runtimeapi.NewRuntimeServiceClient(conn)}
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	version, err := c.api.Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("asking container runtime at %s for its name: %w", socket, err), conn.Close())
	}
	c.name = version.RuntimeName
	return c, nil
}

func (c *cri) close() error { return c.conn.Close() }

func (c *cri) status(ctx context.Context) (*runtimeapi.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	status, err := c.api.Status(ctx, &runtimeapi.StatusRequest{Verbose: true}, grpc.WaitForReady(true))
	if err != nil {
		return nil, fmt.Errorf("asking %s for its status: %w", c.name, err)
	}
	return status, nil
}

// knows tells whether the runtime runs with the handler.
func (c *cri) knows(ctx context.Context, handler string) (bool, error) {
	status, err := c.status(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(status.RuntimeHandlers, func(h *runtimeapi.RuntimeHandler) bool { return h.Name == handler }), nil
}

// config decodes the configuration that the runtime runs with.
func (c *cri) config(ctx context.Context, into any) error {
	status, err := c.status(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(status.Info["config"]), into); err != nil {
		return fmt.Errorf("decoding the configuration that %s reports: %w", c.name, err)
	}
	return nil
}

// podsOf the handler, by namespace and name.
func (c *cri) podsOf(ctx context.Context, handler string) ([]string, error) {
	list, err := c.api.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return nil, fmt.Errorf("asking %s for its pods: %w", c.name, err)
	}
	var pods []string
	for _, p := range list.Items {
		if p.RuntimeHandler == handler {
			pods = append(pods, p.Metadata.GetNamespace()+"/"+p.Metadata.GetName())
		}
	}
	slices.Sort(pods)
	return slices.Compact(pods), nil
}

// server is the process that serves the socket.
func (c *cri) server() (pid int, err error) {
	conn, err := net.Dial("unix", c.socket)
	if err != nil {
		return 0, fmt.Errorf("finding the process of %s: %w", c.name, err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("finding the process of %s: %w", c.name, err)
	}
	var peer *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(cerr, err); err != nil {
		return 0, fmt.Errorf("finding the process of %s: %w", c.name, err)
	}
	// 0 is a process of another PID namespace, 1 a service manager that holds the socket for the runtime.
	if peer.Pid <= 1 {
		return 0, fmt.Errorf("finding the process of %s: its socket is served by process %d: restart it by hand, and give this program the node's processes (hostPID)", c.name, peer.Pid)
	}
	return int(peer.Pid), nil
}

// await until the condition holds. What the runtime answers while it starts is no error.
func (c *cri) await(ctx context.Context, what string, holds func(context.Context) (bool, error)) error {
	for {
		ok, err := holds(ctx)
		if ok && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("awaiting %s: %w", what, ctx.Err()), err)
		case <-time.After(look):
		}
	}
}
