//go:build integration

package redirect

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/pkg/fcc/runtime"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// The pod's network: what is outside has the first addresses, the pod the second ones.
var (
	outside = []string{"198.18.0.1/30", "fd6d:7332:6d::1/64"}
	inside  = []string{"198.18.0.2/30", "fd6d:7332:6d::2/64"}
)

// families are the pod's and the broker's address of each.
var families = map[string]struct{ pod, broker string }{
	"IPv4": {"198.18.0.2", "198.18.0.1"},
	"IPv6": {"fd6d:7332:6d::2", "fd6d:7332:6d::1"},
}

// appUID is any but the gate's.
const appUID = 1000

// pod is a network namespace joined with the present one by a pair of devices.
type pod struct {
	t  *testing.T
	ns netns.NsHandle
	// netns is a path of the namespace.
	netns string
	gate  *control.Client
}

func newPod(t *testing.T) *pod {
	t.Helper()
	holder := exec.Command("sleep", "infinity")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, holder.Start())
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	p := &pod{t: t, netns: fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)}
	var err error
	p.ns, err = netns.GetFromPid(holder.Process.Pid)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.ns.Close() })

	veth := netlink.NewVeth(netlink.LinkAttrs{Name: "outside"})
	veth.PeerName = "inside"
	veth.PeerNamespace = netlink.NsFd(int(p.ns))
	require.NoError(t, netlink.LinkAdd(veth))
	t.Cleanup(func() { require.NoError(t, netlink.LinkDel(veth)) })
	there, err := netlink.NewHandleAt(p.ns)
	require.NoError(t, err)
	defer there.Close()
	here, err := netlink.NewHandle()
	require.NoError(t, err)
	defer here.Close()
	connect(t, here, "outside", outside)
	connect(t, there, "inside", inside)
	return p
}

// connect brings up a device with its addresses, and the loopback device.
func connect(t *testing.T, h *netlink.Handle, device string, addresses []string) {
	t.Helper()
	for _, name := range []string{"lo", device} {
		link, err := h.LinkByName(name)
		require.NoError(t, err)
		require.NoError(t, h.LinkSetUp(link))
	}
	link, err := h.LinkByName(device)
	require.NoError(t, err)
	for _, text := range addresses {
		a, err := netlink.ParseAddr(text)
		require.NoError(t, err)
		a.Flags = unix.IFA_F_NODAD // an address that is being looked for twice cannot be used yet
		require.NoError(t, h.AddrAdd(link, a))
	}
}

// in the pod's network, as a user, do something. Sockets and processes that it makes stay there.
func (p *pod) in(uid int, do func()) {
	p.t.Helper()
	failed := make(chan error)
	go func() {
		// The thread is not as the others afterwards: it ends with this goroutine.
		goruntime.LockOSThread()
		if err := netns.Set(p.ns); err != nil {
			failed <- err
			return
		}
		// Packets are told apart by the user on the file system of who made their socket.
		if _, _, e := syscall.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0); e != 0 {
			failed <- e
			return
		}
		do()
		failed <- nil
	}()
	require.NoError(p.t, <-failed)
}

// dial an address, an IP with its port, from the pod as a user.
func (p *pod) dial(uid int, address string) (conn net.Conn, err error) {
	p.t.Helper()
	p.in(uid, func() { conn, err = net.DialTimeout("tcp", address, 5*time.Second) })
	return conn, err
}

// prepare the sandbox as the container runtime has the wrapper do it.
func (p *pod) prepare(ports string) {
	p.t.Helper()
	bundle := p.t.TempDir()
	spec := fmt.Sprintf(`{"annotations":{"io.kubernetes.cri.container-type":"sandbox",%q:%q},
		"linux":{"namespaces":[{"type":"network","path":%q}]}}`, runtime.AnnotationBrokerPorts, ports, p.netns)
	require.NoError(p.t, os.WriteFile(filepath.Join(bundle, "config.json"), []byte(spec), 0o600))
	config, err := json.Marshal(runtime.Config{Runc: "/bin/true", Root: filepath.Join(bundle, "root")})
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(bundle, "runc.json"), config, 0o600))
	wrapper := exec.Command(filepath.Join(os.Getenv(envBinaries), "ms2m-runc"), "create", "--bundle", bundle, "pod")
	wrapper.Env = append(os.Environ(), "MS2M_RUNC_CONFIG="+filepath.Join(bundle, "runc.json"))
	out, err := wrapper.CombinedOutput()
	require.NoError(p.t, err, string(out))
}

// startGate as the pod's sidecar.
func (p *pod) startGate(args ...string) {
	p.t.Helper()
	folder := p.t.TempDir()
	// The gate's user comes to its folder through those of the test's.
	for dir := folder; dir != os.TempDir(); dir = filepath.Dir(dir) {
		require.NoError(p.t, os.Chmod(dir, 0o755))
	}
	require.NoError(p.t, os.Chown(folder, runtime.GateUID, runtime.GateUID))
	args = append([]string{"serve", "--folder", folder}, args...)
	gate := exec.Command(filepath.Join(os.Getenv(envBinaries), "ms2m-gate"), args...)
	gate.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: runtime.GateUID, Gid: runtime.GateUID}, Pdeathsig: syscall.SIGKILL,
	}
	log := &logged{t: p.t}
	gate.Stdout, gate.Stderr = log, log
	var err error
	started, end := make(chan struct{}), make(chan struct{})
	go p.in(0, func() {
		err = gate.Start()
		close(started)
		<-end // the signal of a parent's death is that of its thread's
	})
	<-started
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = gate.Process.Kill(); _ = gate.Wait(); close(end) })
	p.gate = control.NewUnixClient(filepath.Join(folder, "gate.sock"))
	require.Eventually(p.t, func() bool {
		_, err := p.gate.Status(context.Background())
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "the gate listens")
}

func (p *pod) status() control.Status {
	p.t.Helper()
	s, err := p.gate.Status(context.Background())
	require.NoError(p.t, err)
	return s
}

// logged output of a process.
type logged struct{ t *testing.T }

func (l *logged) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}
