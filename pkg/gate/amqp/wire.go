package amqp

import "encoding/binary"

// cursor reads the arguments of a method; after the first field that does not fit, bad is set and all are zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// short string, a part of the frame.
func (c *cursor) short() []byte { return c.take(int(c.u8())) }

// long string or table, without its length.
func (c *cursor) long() []byte {
	n := c.u32()
	if uint64(n) > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	return c.take(int(n))
}

func (c *cursor) err(m string) error {
	if c.bad {
		return frameError("malformed %s", m) // not 502: as RabbitMQ does
	}
	return nil
}

// args positions a cursor after class and method.
func args(f Frame) *cursor { return &cursor{b: f.Payload()[4:]} }

// builder of one frame behind what is already in b.
type builder struct {
	b     []byte
	start int
}

func begin(dst []byte, kind byte, channel uint16) *builder {
	f := &builder{b: dst, start: len(dst)}
	f.b = append(f.b, kind, byte(channel>>8), byte(channel), 0, 0, 0, 0)
	return f
}

func method(dst []byte, channel uint16, m Method) *builder {
	return begin(dst, FrameMethod, channel).u32(uint32(m))
}

func (f *builder) u8(v byte) *builder    { f.b = append(f.b, v); return f }
func (f *builder) u16(v uint16) *builder { f.b = binary.BigEndian.AppendUint16(f.b, v); return f }
func (f *builder) u32(v uint32) *builder { f.b = binary.BigEndian.AppendUint32(f.b, v); return f }
func (f *builder) u64(v uint64) *builder { f.b = binary.BigEndian.AppendUint64(f.b, v); return f }

func (f *builder) raw(v []byte) *builder { f.b = append(f.b, v...); return f }

// short string; longer ones than the protocol knows are cut.
func (f *builder) short(s string) *builder {
	s = s[:min(len(s), 255)]
	f.b = append(append(f.b, byte(len(s))), s...)
	return f
}

func (f *builder) long(v []byte) *builder { return f.u32(uint32(len(v))).raw(v) }

func (f *builder) end() []byte {
	binary.BigEndian.PutUint32(f.b[f.start+3:], uint32(len(f.b)-f.start-frameHead))
	return append(f.b, frameEnd)
}
