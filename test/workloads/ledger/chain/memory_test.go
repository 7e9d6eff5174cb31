package chain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBallastShowsOneChangedBit(t *testing.T) {
	ballast := NewBallast(3)
	require.Equal(t, ExpectedMemory(3), ballast.Memory())
	ballast[2][12345] ^= 1
	require.NotEqual(t, ExpectedMemory(3), ballast.Memory())
	ballast[2][12345] ^= 1
	require.Equal(t, ExpectedMemory(3), ballast.Memory())
}

func TestBallastPagesDiffer(t *testing.T) {
	ballast := NewBallast(2)
	require.Len(t, ballast[0], mebibyte)
	require.NotEqual(t, ballast[0], ballast[1])
}
