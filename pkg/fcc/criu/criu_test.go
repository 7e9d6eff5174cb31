package criu

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindCause(t *testing.T) {
	for name, c := range map[string]struct{ log, lines, remedy string }{
		"nothing wrong": {"(00.1) Dumping finished successfully\n", "", ""},
		"harmless first": {
			"(00.005) Error (criu/util.c:1): Can't setup RLIMIT_NOFILE for self: Operation not permitted\n" +
				"(00.041) \t1: Error (criu/sk-inet.c:202): inet: Connected TCP socket, consider using --tcp-established option.\n" +
				"(00.042) Error (criu/cr-dump.c:1): Dumping FAILED.",
			"inet: Connected TCP socket, consider using --tcp-established option.; Dumping FAILED.", "tcp-close",
		},
		"mptcp":   {"(00.1) Error (criu/sockets.c:1): Unsupported proto 262\n", "Unsupported proto 262", "MPTCP"},
		"unknown": {"(00.1) Error (criu/x.c:1): something new\n", "something new", ""},
	} {
		t.Run(name, func(t *testing.T) {
			cause, err := FindCause(strings.NewReader(c.log))
			require.NoError(t, err)
			require.Equal(t, c.lines, strings.Join(cause.Lines, "; "))
			if c.remedy == "" {
				require.Empty(t, cause.Remedy)
				return
			}
			require.Contains(t, cause.String(), c.remedy)
		})
	}
}

func TestCauseIsShort(t *testing.T) {
	cause, err := FindCause(strings.NewReader(strings.Repeat("Error (x.c:1): again\n", 1000)))
	require.NoError(t, err)
	require.Len(t, cause.Lines, quoted)
}

func TestWriteOptions(t *testing.T) {
	folder := t.TempDir()
	for range 2 {
		file, err := WriteOptions(folder)
		require.NoError(t, err)
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(b), "\ntcp-close\n")
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
