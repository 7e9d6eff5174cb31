package clients

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCases(t *testing.T) {
	cases, err := Cases()
	require.NoError(t, err)
	require.NotEmpty(t, cases)
}

func TestParse(t *testing.T) {
	cases, err := parse("f", `# a comment
case one and the other
queue.declare queue=$q durable arguments={"x-max-length": 1, "x": [true]}
publish key=$q body=a,b exchange=""
await delivery consumer=c -> body=a tag=1 redelivered=false
get queue=$q -> fails code=404 text="NOT_FOUND - no queue"

case large
publish key=k size=65
get -> size=65
`)
	require.NoError(t, err)
	require.Equal(t, []Case{
		{Name: "one and the other", Steps: []Step{
			{Place: "f:3", Op: "queue.declare", Args: map[string]any{"queue": "$q", "durable": true, "arguments": map[string]any{"x-max-length": 1.0, "x": []any{true}}}},
			{Place: "f:4", Op: "publish", Args: map[string]any{"key": "$q", "body": "a", "exchange": ""}},
			{Place: "f:4", Op: "publish", Args: map[string]any{"key": "$q", "body": "b", "exchange": ""}},
			{Place: "f:5", Op: "await delivery", Args: map[string]any{"consumer": "c"}, Want: Result{"body": "a", "tag": 1.0, "redelivered": false}},
			{Place: "f:6", Op: "get", Args: map[string]any{"queue": "$q"}, Want: Result{"fails": true, "code": 404.0, "text": "NOT_FOUND - no queue"}},
		}},
		{Name: "large", Steps: []Step{
			{Place: "f:9", Op: "publish", Args: map[string]any{"key": "k", "size": 65.0}},
			{Place: "f:10", Op: "get", Args: map[string]any{}, Want: Result{"size": 65.0, "sha256": "4bfd2c8b6f1eec7a2afeb48b934ee4b2694182027e6d0fc075074f2fabb31781"}},
		}},
	}, cases)
}

func TestParseRefuses(t *testing.T) {
	for text, reason := range map[string]string{
		"ack tag=1":                      "f:1: a step before the first case",
		"case c\nack tag=":               "f:2: tag: no value",
		"case c\npublish properties={a}": "f:2: properties: invalid character",
	} {
		_, err := parse("f", text)
		require.ErrorContains(t, err, reason)
	}
	require.ErrorContains(t, unambiguous([]Case{{Name: "a", Steps: make([]Step, 1)}, {Name: "a", Steps: make([]Step, 1)}}), `two are named "a"`)
	require.ErrorContains(t, unambiguous([]Case{{Name: "a"}}), "no steps")
}
