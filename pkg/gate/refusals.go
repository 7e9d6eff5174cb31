package gate

import (
	"fmt"
	"sort"
	"strings"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// traitOf a queue as it is declared: what keeps its consumers from being migrated, or nothing.
func traitOf(d amqp.Declare) string {
	switch {
	case d.Queue == "":
		return "server-named"
	case d.Passive:
		return ""
	case d.Exclusive:
		return "exclusive"
	case d.AutoDelete:
		return "auto-delete"
	case amqp.HasTableKey(d.Arguments, "x-queue-type", "stream"):
		return "a stream"
	case amqp.HasTableKey(d.Arguments, "x-single-active-consumer", ""):
		return "a single-active-consumer queue"
	}
	return ""
}

// refusals says what in the app's use of AMQP cannot be migrated exactly.
func (c *core) refusals() []string {
	set := map[string]bool{}
	for l := range c.links {
		if l.sealed {
			set[refusalSealed] = true
		}
	}
	c.each(func(ch *channel) {
		if ch.Tx {
			set["a channel is in transaction mode; publish with confirms instead"] = true
		}
		if ch.Gets {
			set["the app fetches messages with basic.get; subscribe a consumer instead"] = true
		}
		for _, k := range ch.Consumers {
			trait := c.traits[k.Queue]
			if strings.HasPrefix(k.Queue, "amq.gen-") {
				trait = "server-named"
			}
			switch {
			case k.NoAck:
				set[fmt.Sprintf("the consumer of queue %q acknowledges automatically; acknowledge after processing instead", k.Queue)] = true
			case amqp.HasTableKey(k.Arguments, "x-stream-offset", ""):
				trait = "a stream"
			}
			if trait != "" {
				set[fmt.Sprintf("the consumed queue %q is %s", k.Queue, trait)] = true
			}
		}
	})
	var list []string
	for r := range set {
		list = append(list, r)
	}
	sort.Strings(list)
	return list
}
