package clients

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	c := Case{Steps: []Step{{Place: "f:1", Op: "get", Want: Result{"body": "a", "properties": map[string]any{"priority": 1.0}}}, {Place: "f:2", Op: "ack"}}}
	good := []Result{{"body": "a", "tag": 1.0, "properties": map[string]any{"priority": 1.0, "type": "t"}}, {}}
	require.NoError(t, c.Judge(good, good))
	for reason, gate := range map[string][]Result{
		"f:2: ack: not reached: 2 steps direct, 1 through the gate":   good[:1],
		"f:1: get: through the gate {\"body\":\"b\"}, want":           {{"body": "b"}, {}},
		"f:1: get: direct {\"body\":\"a\",\"properties\":":            {{"body": "a", "tag": 2.0, "properties": map[string]any{"priority": 1.0, "type": "t"}}, {}},
		"f:2: ack: through the gate {\"fails\":true,\"text\":\"no\"}": {good[0], {"fails": true, "text": "no"}},
	} {
		require.ErrorContains(t, c.Judge(good, gate), reason)
	}
	failed := []Result{good[0], {Fails: true}}
	require.Error(t, c.Judge(failed, failed), "what fails the same way on both sides has failed")
	c.Steps[1].Want = Result{Fails: true}
	require.NoError(t, c.Judge(failed, failed))
	require.Error(t, c.Judge(good, good), "it should have failed")
}

func TestDecode(t *testing.T) {
	results, err := decode([]byte(`[{"queue":"run-1-q","text":"no queue 'run-1-q'","tag":"amq.ctag-x_1-Y"},
		{"queue":"amq.gen-abc","properties":{"replyTo":"amq.rabbitmq.reply-to.g1h.x+y==","headers":{"time":{"!time":1},"x-death":[{"reason":"r","time":{"!time":2}}]}}}]`), "run-1-")
	require.NoError(t, err)
	require.Equal(t, []Result{
		{"queue": "$q", "text": "no queue '$q'", "tag": "ctag*"},
		{"queue": "amq.gen-*", "properties": map[string]any{"replyTo": "amq.rabbitmq.reply-to.*", "headers": map[string]any{
			"time": map[string]any{"!time": 1.0}, "x-death": []any{map[string]any{"reason": "r", "time": "*"}}}}},
	}, results)
}
