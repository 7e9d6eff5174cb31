package judge

import (
	"encoding/json"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

func delivery(t *testing.T, sequence uint64) amqp.Delivery {
	t.Helper()
	body, err := json.Marshal(chain.Output{Producer: "p", Sequence: sequence, Count: sequence})
	require.NoError(t, err)
	return amqp.Delivery{Body: body}
}

func TestJudgeCountsOnceWhatTheBrokerDeliversAgain(t *testing.T) {
	j := New(Options{})
	again := delivery(t, 1)
	again.Redelivered = true
	unseen := delivery(t, 2)
	unseen.Redelivered = true
	for _, d := range []amqp.Delivery{delivery(t, 1), again, unseen} {
		j.receive(d, time.Now())
	}
	require.Len(t, j.Outputs(), 2)

	j.receive(delivery(t, 2), time.Now())
	require.Len(t, j.Outputs(), 3, "published twice, not delivered twice")
}

func TestJudgeKeepsMalformedOutputsAsEvidence(t *testing.T) {
	j := New(Options{})
	j.receive(amqp.Delivery{Body: []byte("nonsense")}, time.Now())
	v := Assess(Evidence{Outputs: j.Outputs(), Final: true})
	require.Equal(t, uint64(1), v.OutputsWrong)
	require.False(t, v.Exact())
}

func TestFenceComesBackOnceAndIsNoOutput(t *testing.T) {
	j := New(Options{})
	back := make(chan struct{})
	j.fences["mine"] = back
	for _, id := range []string{"another's", "mine", "mine"} {
		fence := wire.NewFence(id)
		j.receive(amqp.Delivery{Type: fence.Type, MessageId: fence.MessageId}, time.Now())
	}
	_, open := <-back
	require.False(t, open)
	require.Empty(t, j.Outputs())
}

func TestMemoryMustBeThatOfTheBase(t *testing.T) {
	harmed := chain.State{Memory: &chain.Memory{Mebibytes: 1}}
	require.Equal(t, chain.ExpectedMemory(1), *New(Options{}).expectedMemory(harmed))
	base := chain.ExpectedMemory(2)
	require.Equal(t, base, *New(Options{Base: chain.State{Memory: &base}}).expectedMemory(harmed))
	require.Nil(t, New(Options{}).expectedMemory(chain.State{}))
}
