package gate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// soOriginalDst is SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST.
const soOriginalDst = 80

// OriginalDestination of a connection that the kernel redirected here.
func OriginalDestination(conn net.Conn) (string, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return "", errors.New("reading original destination: not a TCP connection")
	}
	local, ok := netip.AddrFromSlice(tcp.LocalAddr().(*net.TCPAddr).IP)
	if !ok {
		return "", errors.New("reading original destination: no local address")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return "", fmt.Errorf("reading original destination: %w", err)
	}
	var dst netip.AddrPort
	var failed error
	err = raw.Control(func(fd uintptr) {
		if local.Unmap().Is4() {
			dst, failed = originalDestination4(fd)
		} else {
			dst, failed = originalDestination6(fd)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return "", fmt.Errorf("reading original destination (the connection was not redirected; for use without redirect see --upstream): %w", err)
	}
	if dst.String() == tcp.LocalAddr().String() {
		return "", errors.New("reading original destination: the gate itself was dialled; dial the broker")
	}
	return dst.String(), nil
}

func originalDestination4(fd uintptr) (netip.AddrPort, error) {
	var a unix.RawSockaddrInet4
	if err := getsockopt(fd, unix.SOL_IP, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), swap(a.Port)), nil
}

func originalDestination6(fd uintptr) (netip.AddrPort, error) {
	var a unix.RawSockaddrInet6
	if err := getsockopt(fd, unix.SOL_IPV6, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), swap(a.Port)), nil
}

func getsockopt(fd uintptr, level int, p unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	_, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, uintptr(level), soOriginalDst, uintptr(p), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 {
		return e
	}
	return nil
}

// swap a port from network byte order, in which the kernel leaves it in memory.
func swap(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}
