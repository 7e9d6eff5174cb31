package gate

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUnread(t *testing.T) {
	// A socket that listens for both families sees an address of IPv4 as one of IPv6.
	for listen, dial := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", "[::]:0": "127.0.0.1"} {
		t.Run(listen, func(t *testing.T) {
			ln, err := net.Listen("tcp", listen)
			require.NoError(t, err)
			defer ln.Close() //nolint:errcheck // only a test's
			_, port, err := net.SplitHostPort(ln.Addr().String())
			require.NoError(t, err)
			app, err := net.Dial("tcp", net.JoinHostPort(dial, port))
			require.NoError(t, err)
			defer app.Close() //nolint:errcheck // only a test's
			gate, err := ln.Accept()
			require.NoError(t, err)
			defer gate.Close() //nolint:errcheck // only a test's
			require.False(t, unread(gate))

			_, err = gate.Write([]byte("confirm"))
			require.NoError(t, err)
			require.True(t, unread(gate))
			_, err = app.Read(make([]byte, 3))
			require.NoError(t, err)
			require.True(t, unread(gate))
			_, err = app.Read(make([]byte, 4))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return !unread(gate) }, time.Minute, time.Millisecond)
		})
	}
}

func TestParseSocketOfOtherLines(t *testing.T) {
	for _, line := range []string{"", "  sl  local_address rem_address   st tx_queue rx_queue tr", "0: xx:1 00:2 01 0:0", "0: 0100007F:1 0100007F:2 01 x:0"} {
		_, ok := parseSocket(line)
		require.False(t, ok, line)
	}
}
