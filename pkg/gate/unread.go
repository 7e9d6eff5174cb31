package gate

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// socketTables of the network namespace, which gate and app share.
var socketTables = []string{"/proc/net/tcp", "/proc/net/tcp6"}

// unread tells whether the app's kernel still has something that the gate wrote and the app has not read: its end of the
// connection is closed by a checkpoint, and what nobody has read is lost. An app in another network namespace is taken
// to read what its kernel has acknowledged.
func unread(app net.Conn) bool {
	far, near := addrPort(app.RemoteAddr()), addrPort(app.LocalAddr())
	for _, table := range socketTables {
		f, err := os.Open(table)
		if err != nil {
			slog.Debug("reading sockets failed", "err", err)
			continue
		}
		found := findUnread(f, near, far)
		_ = f.Close()
		if found {
			return true
		}
	}
	return false
}

// findUnread in a table of sockets, between the gate's address of a connection and the app's. The app's socket may know
// the gate by another address, that of the broker.
func findUnread(table *os.File, near, far netip.AddrPort) bool {
	for lines := bufio.NewScanner(table); lines.Scan(); {
		s, ok := parseSocket(lines.Text())
		switch {
		case !ok:
		case s.local == near && s.remote == far && s.sending > 0:
			return true
		case s.local == far && s.received > 0:
			return true
		}
	}
	return false
}

// socket as the kernel lists it, with the bytes that the peer has not acknowledged and those that nobody has read.
type socket struct {
	local, remote     netip.AddrPort
	sending, received uint64
}

// parseSocket reads "sl: local remote state tx:rx ..." in hexadecimal.
func parseSocket(line string) (s socket, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 {
		return s, false
	}
	tx, rx, _ := strings.Cut(fields[4], ":")
	var errs [2]error
	s.sending, errs[0] = strconv.ParseUint(tx, 16, 64)
	s.received, errs[1] = strconv.ParseUint(rx, 16, 64)
	var oks [2]bool
	s.local, oks[0] = parseAddress(fields[1])
	s.remote, oks[1] = parseAddress(fields[2])
	return s, errs == [2]error{} && oks == [2]bool{true, true}
}

// parseAddress reads "ADDRESS:PORT"; the address is in words of the machine's byte order.
func parseAddress(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok && err == nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
