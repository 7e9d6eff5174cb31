package gate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// TestInquiryLearns: what a broker's refusal of the gate's declaration says of the queue. Of what it does not say
// clearly, nothing is concluded.
func TestInquiryLearns(t *testing.T) {
	const of = "PRECONDITION_FAILED - inequivalent arg "
	in := func(arg, received, current string) string {
		return of + "'" + arg + "' for queue 'q' in vhost '/': received " + received + " but current is " + current
	}
	cases := map[string]struct {
		code  uint16
		text  string
		more  bool
		unfit string
		took  []amqp.Field
	}{
		"transient":                 {code: 406, text: in("durable", "'true'", "'false'"), more: true},
		"auto-delete":               {code: 406, text: in("auto_delete", "'false'", "'true'"), unfit: "is auto-delete"},
		"exclusive":                 {code: 405, text: "RESOURCE_LOCKED - cannot obtain exclusive access", unfit: "is exclusive"},
		"no right":                  {code: 403, text: "ACCESS_REFUSED - configure access", unfit: "is not known to the gate: let the app's broker user configure it"},
		"gone":                      {code: 406, text: "PRECONDITION_FAILED - invalid arg 'x-single-active-consumer'", unfit: "is not known"},
		"other error":               {code: 541, text: "INTERNAL_ERROR", unfit: "is not known to the gate: the broker says 541 INTERNAL_ERROR"},
		"text":                      {code: 406, text: in("x-overflow", "none", "the value 'drop' of type 'x' of type 'longstr'"), more: true, took: []amqp.Field{{Name: "x-overflow", Kind: 'S', Text: "drop' of type 'x"}}},
		"number":                    {code: 406, text: in("x-max-length", "none", "the value '10' of type 'signedint'"), more: true, took: []amqp.Field{{Name: "x-max-length", Kind: 'l', Number: 10}}},
		"flag":                      {code: 406, text: in("x-some", "none", "the value 'true' of type 'bool'"), more: true, took: []amqp.Field{{Name: "x-some", Kind: 't', Number: 1}}},
		"table":                     {code: 406, text: in("x-some", "none", "the value '[{a,b}]' of type 'table'"), unfit: "is not known"},
		"cut off":                   {code: 406, text: of + "'x-overflow' for queue 'q' in vhost '/': received none but curr...", unfit: "is not known"},
		"quorum":                    {code: 406, text: in("x-queue-type", "none", "the value 'quorum' of type 'longstr'"), more: true, took: []amqp.Field{{Name: "x-queue-type", Kind: 'S', Text: "quorum"}}},
		"classic by default":        {code: 406, text: in("x-queue-type", "the value 'quorum' of type 'longstr'", "none"), more: true, took: []amqp.Field{{Name: "x-queue-type", Kind: 'S', Text: "classic"}}},
		"stream":                    {code: 406, text: in("x-queue-type", "none", "the value 'stream' of type 'longstr'"), unfit: "is a stream"},
		"single active consumer":    {code: 406, text: in("x-single-active-consumer", "the value '' of type 'longstr'", "the value 'true' of type 'bool'"), unfit: "is a single-active-consumer queue"},
		"no single active consumer": {code: 406, text: in("x-single-active-consumer", "the value '' of type 'longstr'", "none")},
		"neither":                   {code: 406, text: in("x-single-active-consumer", "'' ", "'false'")},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			q := &inquiry{queue: "q"}
			require.Equal(t, c.more, q.learn(c.code, c.text))
			require.Equal(t, c.took, q.arguments)
			if c.unfit == "" {
				require.Empty(t, q.unfit)
			} else {
				require.Contains(t, q.unfit, c.unfit)
			}
		})
	}
}

// TestInquiryEnds: an argument that is named again, though it was taken over, ends the questions.
func TestInquiryEnds(t *testing.T) {
	q := &inquiry{queue: "q"}
	text := "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '10' of type 'long'"
	require.True(t, q.learn(406, text))
	require.False(t, q.learn(406, text))
	require.Contains(t, q.unfit, "is not known to the gate")
}
