package runtime

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// defaultBrokerPorts are redirected when the pod names no others: AMQP's, and that of AMQP over TLS for the gate to
// notice an app that speaks it.
const defaultBrokerPorts = "5672,5671"

// prepareSandbox makes the pod's network ready before anything runs in it.
func prepareSandbox(s *spec) error {
	path := s.namespace("network")
	if path == "" {
		return errors.New("preparing sandbox: the pod uses the node's network, where connections cannot be redirected to its gate: remove hostNetwork or the label ms2m.dev/migratable")
	}
	ports, err := brokerPorts(s.annotation(AnnotationBrokerPorts))
	if err != nil {
		return err
	}
	netns, err := os.Open(path) // #nosec G304 -- given by the runtime
	if err != nil {
		return fmt.Errorf("opening pod's network namespace: %w", err)
	}
	defer netns.Close() //nolint:errcheck // opened for reading
	if err := redirect(netns, ports); err != nil {
		return err
	}
	return disableMPTCP(netns)
}

func brokerPorts(annotation string) ([]uint16, error) {
	if annotation == "" {
		annotation = defaultBrokerPorts
	}
	var ports []uint16
	for _, text := range strings.Split(annotation, ",") {
		p, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
		if err != nil || p == 0 || p == GatePort {
			return nil, fmt.Errorf("reading annotation %s: %q is no port of a broker", AnnotationBrokerPorts, text)
		}
		ports = append(ports, uint16(p))
	}
	return ports, nil
}

// redirect sends the pod's connections to the broker's ports to the gate, except the gate's own. Done again, it
// replaces what it did.
func redirect(netns *os.File, ports []uint16) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(netns.Fd())))
	if err != nil {
		return fmt.Errorf("redirecting broker connections: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "ms2m"}
	c.AddTable(table) // else deleting an absent one fails the batch
	c.DelTable(table)
	c.AddTable(table)
	chain := c.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	for _, port := range ports {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: redirection(port)})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("redirecting broker connections: %w (the node's kernel needs nf_tables with nft_redir)", err)
	}
	return nil
}

// redirection is the rule `meta skuid != GATE meta l4proto tcp th dport PORT redirect to :GATE`.
func redirection(port uint16) []expr.Any {
	const register = 1
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: register},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, GateUID)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Immediate{Register: register, Data: binary.BigEndian.AppendUint16(nil, GatePort)},
		&expr.Redir{RegisterProtoMin: register},
	}
}

// disableMPTCP makes programs that ask for MPTCP get TCP, which CRIU can dump. A kernel without MPTCP needs nothing.
func disableMPTCP(netns *os.File) error {
	failed := make(chan error)
	go func() {
		// The thread is in another network namespace afterwards: it ends with this goroutine.
		goruntime.LockOSThread()
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			failed <- fmt.Errorf("entering pod's network namespace: %w", err)
			return
		}
		err := os.WriteFile("/proc/sys/net/mptcp/enabled", []byte("0"), 0)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			err = fmt.Errorf("switching MPTCP off in the pod: %w", err)
		}
		failed <- err
	}()
	return <-failed
}
