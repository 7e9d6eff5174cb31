package gate

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// outputs that the app published since the cut.
type outputs struct {
	count  uint64
	digest replaylog.Digest
}

func (o *outputs) add(p *output) {
	o.count++
	o.digest = o.digest.Chain([sha256.Size]byte(p.hash.Sum(nil)))
}

// output is one publish being digested: exchange, routing key, mandatory flag, properties and body.
type output struct {
	hash hash.Hash
	// suppressed: it is not sent to the broker.
	suppressed bool
}

func newOutput(p amqp.Publish) *output {
	o := &output{hash: sha256.New()}
	b := []byte{0}
	if p.Mandatory {
		b[0] = 1
	}
	for _, s := range [][]byte{p.Exchange, p.RoutingKey} {
		b = append(append(b, byte(len(s))), s...)
	}
	o.hash.Write(b)
	return o
}

// add a header or body frame.
func (o *output) add(f amqp.Frame) {
	if f.Type == amqp.FrameHeader {
		o.hash.Write(amqp.CanonicalProperties(binary.BigEndian.AppendUint64(nil, amqp.BodySize(f)), amqp.Properties(f)))
		return
	}
	o.hash.Write(f.Payload())
}

// decisions of the app, since the cut, about the deliveries that it had.
type decisions struct {
	settled uint64
	digest  replaylog.Digest
}

// settlement is how a delivery was settled.
type settlement byte

const (
	acknowledged settlement = iota
	requeued
	rejected
)

func settlementOf(m amqp.Method, s amqp.Settlement) settlement {
	switch {
	case m == amqp.BasicAck:
		return acknowledged
	case s.Requeue:
		return requeued
	default:
		return rejected
	}
}

// decided how n deliveries are settled. An app that takes a message on one side and refuses it on the other is in
// another state there. What is acknowledged is only counted: how many acknowledgements it takes is a matter of time.
func (c *core) decided(how settlement, n int) {
	for range n {
		c.decisions.settled++
		if how != acknowledged {
			c.decisions.digest = c.decisions.digest.Next(binary.BigEndian.AppendUint64([]byte{byte(how)}, c.decisions.settled))
		}
	}
}
