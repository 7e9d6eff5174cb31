package judge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
)

// history sends a message at each time of sent and gets its output at the same index of arrived, in milliseconds.
func history(sent, arrived []int) ([]Output, []chain.Account) {
	account := chain.Account{Producer: "p"}
	var outputs []Output
	for i := range sent {
		account.Append(chain.Digest{}, at(sent[i]))
		outputs = append(outputs, Output{Output: chain.Output{Producer: "p", Sequence: uint64(i) + 1}, Arrived: at(arrived[i])})
	}
	return outputs, []chain.Account{account}
}

func at(millis int) time.Time { return time.UnixMilli(int64(millis)) }

func TestPauseIsTheWaitBeyondTheNaturalOne(t *testing.T) {
	outputs, accounts := history([]int{0, 100, 200, 300, 400}, []int{5, 105, 205, 505, 510})
	pause := LongestPause(outputs, accounts, at(0), at(1000))
	require.Equal(t, at(305), pause.From, "neither the silence before the message was sent nor its processing is a pause")
	require.Equal(t, at(505), pause.To)
	require.Equal(t, 5*time.Millisecond, pause.Natural)
	require.Equal(t, 200*time.Millisecond, pause.Duration())
}

func TestPauseUnderBacklogBeginsWithTheOutputBefore(t *testing.T) {
	outputs, accounts := history([]int{0, 0, 0, 0, 0}, []int{10, 20, 30, 130, 140})
	pause := LongestPause(outputs, accounts, at(0), at(1000))
	require.Equal(t, at(40), pause.From)
	require.Equal(t, 90*time.Millisecond, pause.Duration())
}

func TestPauseBelongsToTheWindowItOverlaps(t *testing.T) {
	outputs, accounts := history([]int{0, 0, 0, 0, 0, 0}, []int{10, 20, 120, 130, 330, 340})
	require.Equal(t, 90*time.Millisecond, LongestPause(outputs, accounts, at(50), at(60)).Duration())
	require.Equal(t, 190*time.Millisecond, LongestPause(outputs, accounts, at(200), at(400)).Duration())
	require.Equal(t, 190*time.Millisecond, LongestPause(outputs, accounts, at(0), at(1000)).Duration())
	require.Zero(t, LongestPause(outputs, accounts, at(500), at(600)).Duration())
}

func TestRepeatedOutputsEndNoPause(t *testing.T) {
	outputs, accounts := history([]int{0, 0, 0, 0}, []int{10, 20, 120, 130})
	repeat := outputs[0]
	repeat.Arrived = at(70)
	outputs = append(outputs[:2:2], append([]Output{repeat}, outputs[2:]...)...)
	require.Equal(t, 90*time.Millisecond, LongestPause(outputs, accounts, at(0), at(1000)).Duration())
}

func TestPauseOfNothing(t *testing.T) {
	require.Zero(t, LongestPause(nil, nil, at(0), at(1)))
}
