package consumer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
)

func TestStateIsServed(t *testing.T) {
	c := New(Options{Mebibytes: 1})
	server := httptest.NewServer(c.Handler())
	defer server.Close()

	message := chain.Message{Producer: "p", Sequence: 1}
	_, applied := c.apply(amqp.Delivery{Body: message.Body()})
	require.True(t, applied)
	_, applied = c.apply(amqp.Delivery{Body: []byte("nonsense")})
	require.False(t, applied)

	plain, err := judge.FetchState(context.Background(), server.URL, false)
	require.NoError(t, err)
	require.Equal(t, uint64(1), plain.Count)
	require.Equal(t, uint64(1), plain.Producers["p"].Last)
	require.Equal(t, uint64(1), plain.Violations.Malformed)
	require.NotEmpty(t, plain.Instance)
	require.Nil(t, plain.Memory)

	whole, err := judge.FetchState(context.Background(), server.URL, true)
	require.NoError(t, err)
	require.Equal(t, chain.ExpectedMemory(1), *whole.Memory)
}

func TestInstancesDiffer(t *testing.T) {
	require.NotEqual(t, New(Options{}).State(false).Instance, New(Options{}).State(false).Instance)
}

func TestHealthIsServed(t *testing.T) {
	recorder := httptest.NewRecorder()
	New(Options{}).Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
}
