package gate

import (
	"fmt"
	"sort"
)

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
			switch {
			case k.NoAck:
				set[fmt.Sprintf("the consumer of queue %q acknowledges automatically; acknowledge after processing instead", k.Queue)] = true
			case k.Unfit != "":
				set[fmt.Sprintf("the consumed queue %q %s", k.Queue, k.Unfit)] = true
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
