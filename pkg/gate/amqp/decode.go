package amqp

import "encoding/binary"

// Tune is connection.tune and connection.tune-ok: the limits of a connection; 0 means none. Heartbeat in seconds.
type Tune struct {
	ChannelMax uint16 `json:"channelMax"`
	FrameMax   uint32 `json:"frameMax"`
	Heartbeat  uint16 `json:"heartbeat"`
}

// DecodeTune reads connection.tune or tune-ok.
func DecodeTune(f Frame) (Tune, error) {
	c := args(f)
	t := Tune{ChannelMax: c.u16(), FrameMax: c.u32(), Heartbeat: c.u16()}
	return t, c.err("connection.tune")
}

// DecodeOpen reads the virtual host of connection.open.
func DecodeOpen(f Frame) (string, error) {
	c := args(f)
	v := string(c.short())
	return v, c.err("connection.open")
}

// DecodeClose reads code and text of connection.close or channel.close.
func DecodeClose(f Frame) (uint16, string, error) {
	c := args(f)
	code, text := c.u16(), string(c.short())
	return code, text, c.err("close")
}

// Delivery is basic.deliver. The slices are parts of the frame.
type Delivery struct {
	ConsumerTag []byte
	Tag         uint64
	Redelivered bool
	Exchange    []byte
	RoutingKey  []byte

	tagAt int
}

// DecodeDelivery reads basic.deliver.
func DecodeDelivery(f Frame) (Delivery, error) {
	c := args(f)
	var d Delivery
	d.ConsumerTag = c.short()
	d.tagAt = len(f.Payload()) - len(c.b)
	d.Tag, d.Redelivered = c.u64(), c.u8()&1 != 0
	d.Exchange, d.RoutingKey = c.short(), c.short()
	return d, c.err("basic.deliver")
}

// SetTag writes another delivery tag into the frame the delivery was decoded from.
func (d Delivery) SetTag(f Frame, tag uint64) { binary.BigEndian.PutUint64(f.Payload()[d.tagAt:], tag) }

// Settlement is basic.ack, nack or reject, in either direction.
type Settlement struct {
	Tag      uint64
	Multiple bool
	Requeue  bool
}

// DecodeSettlement reads basic.ack, nack and reject.
func DecodeSettlement(f Frame) (Settlement, error) {
	c := args(f)
	s := Settlement{Tag: c.u64()}
	bits := c.u8()
	switch f.Method() {
	case BasicReject:
		s.Requeue = bits&1 != 0
	case BasicNack:
		s.Requeue = bits&2 != 0
		fallthrough
	default:
		s.Multiple = bits&1 != 0
	}
	return s, c.err("settlement")
}

// DecodeTag reads the delivery tag of methods that begin with it: ack, nack, reject and get-ok.
func DecodeTag(f Frame) (uint64, error) {
	c := args(f)
	tag := c.u64()
	return tag, c.err("delivery tag")
}

// SetTag writes another delivery tag into an ack, nack, reject or get-ok.
func SetTag(f Frame, tag uint64) { binary.BigEndian.PutUint64(f.Payload()[4:], tag) }

// Publish is basic.publish. The slices are parts of the frame.
type Publish struct {
	Exchange   []byte
	RoutingKey []byte
	Mandatory  bool
}

// DecodePublish reads basic.publish.
func DecodePublish(f Frame) (Publish, error) {
	c := args(f)
	c.u16()
	p := Publish{Exchange: c.short(), RoutingKey: c.short()}
	p.Mandatory = c.u8()&1 != 0
	return p, c.err("basic.publish")
}

// Consume is basic.consume.
type Consume struct {
	Queue     string `json:"queue"`
	Tag       string `json:"tag"`
	NoLocal   bool   `json:"noLocal,omitempty"`
	NoAck     bool   `json:"noAck,omitempty"`
	Exclusive bool   `json:"exclusive,omitempty"`
	NoWait    bool   `json:"-"`
	// Arguments is the table as it came.
	Arguments []byte `json:"arguments,omitempty"`
}

// DecodeConsume reads basic.consume.
func DecodeConsume(f Frame) (Consume, error) {
	c := args(f)
	c.u16()
	m := Consume{Queue: string(c.short()), Tag: string(c.short())}
	bits := c.u8()
	m.NoLocal, m.NoAck, m.Exclusive, m.NoWait = bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0
	m.Arguments = append([]byte(nil), c.long()...)
	return m, c.err("basic.consume")
}

// DecodeConsumerTag reads the tag of consume-ok, cancel and cancel-ok, and the no-wait bit of cancel.
func DecodeConsumerTag(f Frame) (tag string, noWait bool, err error) {
	c := args(f)
	tag = string(c.short())
	if f.Method() == BasicCancel {
		noWait = c.u8()&1 != 0
	}
	return tag, noWait, c.err("consumer tag")
}

// Qos is basic.qos.
type Qos struct {
	Size   uint32 `json:"size,omitempty"`
	Count  uint16 `json:"count"`
	Global bool   `json:"global,omitempty"`
}

// DecodeQos reads basic.qos.
func DecodeQos(f Frame) (Qos, error) {
	c := args(f)
	q := Qos{Size: c.u32(), Count: c.u16()}
	q.Global = c.u8()&1 != 0
	return q, c.err("basic.qos")
}

// Declare is queue.declare.
type Declare struct {
	Queue      string
	Passive    bool
	Exclusive  bool
	AutoDelete bool
	NoWait     bool
	Arguments  []byte
}

// DecodeQueueDeclare reads queue.declare.
func DecodeQueueDeclare(f Frame) (Declare, error) {
	c := args(f)
	c.u16()
	d := Declare{Queue: string(c.short())}
	bits := c.u8()
	d.Passive, d.Exclusive, d.AutoDelete, d.NoWait = bits&1 != 0, bits&4 != 0, bits&8 != 0, bits&16 != 0
	d.Arguments = c.long()
	return d, c.err("queue.declare")
}

// DecodeQueueDeclareOk reads the queue's name and the number of its consumers.
func DecodeQueueDeclareOk(f Frame) (queue string, consumers uint32, err error) {
	c := args(f)
	queue = string(c.short())
	c.u32() // messages
	consumers = c.u32()
	return queue, consumers, c.err("queue.declare-ok")
}

// SetPassive turns a queue.declare or exchange.declare into its passive form, in place.
func SetPassive(f Frame) error {
	c := args(f)
	c.u16()
	c.short()
	if f.Method() == ExchangeDeclare {
		c.short()
	}
	if len(c.b) == 0 {
		c.bad = true
	} else {
		c.b[0] |= 1
	}
	return c.err("declare")
}

// NoWait tells of a client's request whether it wants no answer.
func NoWait(f Frame) (bool, error) {
	c := args(f)
	bit := byte(0)
	switch f.Method() {
	case ConfirmSelect:
		bit = 1
	case QueueDeclare:
		c.skip(1)
		bit = 1 << 4
	case ExchangeDeclare:
		c.skip(2)
		bit = 1 << 4
	case ExchangeDelete:
		c.skip(1)
		bit = 1 << 1
	case QueueDelete:
		c.skip(1)
		bit = 1 << 2
	case QueuePurge:
		c.skip(1)
		bit = 1
	case QueueBind, ExchangeBind, ExchangeUnbind:
		c.skip(3)
		bit = 1
	case BasicConsume:
		c.skip(2)
		bit = 1 << 3
	case BasicCancel:
		c.short()
		bit = 1
	default:
		return false, nil
	}
	set := c.u8()&bit != 0
	return set, c.err("request")
}

// skip the reserved number and n short strings.
func (c *cursor) skip(n int) {
	c.u16()
	for range n {
		c.short()
	}
}
