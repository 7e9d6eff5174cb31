package amqp

// Heartbeat is a heartbeat frame.
var Heartbeat = []byte{FrameHeartbeat, 0, 0, 0, 0, 0, 0, frameEnd}

// AppendEmpty appends a method without arguments, such as queue.bind-ok.
func AppendEmpty(dst []byte, channel uint16, m Method) []byte { return method(dst, channel, m).end() }

// AppendConsume appends basic.consume, with an answer wanted.
func AppendConsume(dst []byte, channel uint16, c Consume) []byte {
	bits := bit(c.NoLocal, 1) | bit(c.NoAck, 2) | bit(c.Exclusive, 4)
	return method(dst, channel, BasicConsume).u16(0).short(c.Queue).short(c.Tag).u8(bits).long(c.Arguments).end()
}

// AppendConsumerTag appends basic.consume-ok or basic.cancel-ok.
func AppendConsumerTag(dst []byte, channel uint16, m Method, tag string) []byte {
	return method(dst, channel, m).short(tag).end()
}

// AppendCancel appends basic.cancel, with an answer wanted.
func AppendCancel(dst []byte, channel uint16, tag string) []byte {
	return method(dst, channel, BasicCancel).short(tag).u8(0).end()
}

// AppendQos appends basic.qos.
func AppendQos(dst []byte, channel uint16, q Qos) []byte {
	return method(dst, channel, BasicQos).u32(q.Size).u16(q.Count).u8(bit(q.Global, 1)).end()
}

// AppendConfirmSelect appends confirm.select without an answer.
func AppendConfirmSelect(dst []byte, channel uint16) []byte {
	return method(dst, channel, ConfirmSelect).u8(1).end()
}

// AppendFlow appends channel.flow with active set: a broker answers it at once and changes nothing.
func AppendFlow(dst []byte, channel uint16) []byte {
	return method(dst, channel, ChannelFlow).u8(1).end()
}

// AppendAck appends basic.ack.
func AppendAck(dst []byte, channel uint16, tag uint64, multiple bool) []byte {
	return method(dst, channel, BasicAck).u64(tag).u8(bit(multiple, 1)).end()
}

// AppendNack appends basic.nack with requeue.
func AppendNack(dst []byte, channel uint16, tag uint64) []byte {
	return method(dst, channel, BasicNack).u64(tag).u8(2).end()
}

// WithCloseText is a channel.close with another text.
func WithCloseText(f Frame, text string) Frame {
	c := args(f)
	code := c.u16()
	c.short()
	f.Raw = method(nil, f.Channel, ChannelClose).u16(code).short(text).raw(c.b).end()
	return f
}

// AppendChannelOpen appends channel.open.
func AppendChannelOpen(dst []byte, channel uint16) []byte {
	return method(dst, channel, ChannelOpen).short("").end()
}

// AppendChannelClose appends channel.close of a channel that is needed no more.
func AppendChannelClose(dst []byte, channel uint16) []byte {
	return method(dst, channel, ChannelClose).u16(200).short("").u16(0).u16(0).end()
}

// Kinds of fields.
const (
	FieldText   = 'S'
	FieldNumber = 'l'
	FieldBool   = 't'
)

// Field of a table.
type Field struct {
	Name string
	Kind byte
	// Text or Number, which for FieldBool is 0 or 1.
	Text   string
	Number int64
}

// AppendDeclare appends queue.declare of a queue that is neither exclusive nor auto-delete.
func AppendDeclare(dst []byte, channel uint16, queue string, durable bool, arguments []Field) []byte {
	table := &builder{}
	for _, f := range arguments {
		table.short(f.Name).u8(f.Kind)
		switch f.Kind {
		case FieldText:
			table.long([]byte(f.Text))
		case FieldBool:
			table.u8(byte(f.Number))
		default:
			table.u64(uint64(f.Number))
		}
	}
	return method(dst, channel, QueueDeclare).u16(0).short(queue).u8(bit(durable, 2)).long(table.b).end()
}

// AppendConnectionClose appends connection.close.
func AppendConnectionClose(dst []byte, e *Error) []byte {
	return method(dst, 0, ConnectionClose).u16(e.Code).short(e.Text).u16(0).u16(0).end()
}

// Message to deliver.
type Message struct {
	ConsumerTag string
	Tag         uint64
	Redelivered bool
	Exchange    string
	RoutingKey  string
	// Properties as in the header frame: flags and values.
	Properties []byte
	Body       []byte
}

// AppendDelivery appends basic.deliver with its content, in frames of at most frameMax bytes (0: no limit).
func AppendDelivery(dst []byte, channel uint16, frameMax uint32, m Message) []byte {
	dst = method(dst, channel, BasicDeliver).short(m.ConsumerTag).u64(m.Tag).u8(bit(m.Redelivered, 1)).
		short(m.Exchange).short(m.RoutingKey).end()
	dst = begin(dst, FrameHeader, channel).u16(ClassBasic).u16(0).u64(uint64(len(m.Body))).raw(m.Properties).end()
	most := FrameLimit
	if frameMax > Overhead {
		most = int(frameMax)
	}
	most -= Overhead
	for body := m.Body; len(body) > 0; {
		n := min(len(body), most)
		dst = begin(dst, FrameBody, channel).raw(body[:n]).end()
		body = body[n:]
	}
	return dst
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}
