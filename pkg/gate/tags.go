package gate

import (
	"math"
	"strconv"
	"strings"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// unknownTag is given to the broker for tags that the app does not have; the broker may have delivered them already.
const unknownTag = math.MaxUint64

// complaint of RabbitMQ about a delivery tag, which it names.
const complaint = "PRECONDITION_FAILED - unknown delivery tag "

// inTagsOfApp is a channel.close of the broker with the delivery tag in its text as the app knows it.
func (ch *channel) inTagsOfApp(f amqp.Frame, text string) amqp.Frame {
	rest, ok := strings.CutPrefix(text, complaint)
	tag, err := strconv.ParseUint(rest, 10, 64)
	if !ok || err != nil {
		return f
	}
	if tag == unknownTag {
		tag = ch.unknownTag
	} else {
		tag += ch.TagOffset
	}
	return amqp.WithCloseText(f, complaint+strconv.FormatUint(tag, 10))
}
