package amqp

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// read all frames of b.
func read(t *testing.T, b []byte) []Frame {
	t.Helper()
	r := NewReader(iotest.OneByteReader(bytes.NewReader(b)))
	r.SetMax(0)
	var all []Frame
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		f.Raw = bytes.Clone(f.Raw)
		all = append(all, f)
	}
}

func TestDeliveryRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 4088, 4089, 100_000} {
		m := Message{
			ConsumerTag: "tag", Tag: 7, Redelivered: true, Exchange: "x", RoutingKey: "a.b",
			Properties: []byte{0x10, 0x00, 2}, Body: bytes.Repeat([]byte{'b'}, size),
		}
		frames := read(t, AppendDelivery(nil, 3, 4096, m))
		d, err := DecodeDelivery(frames[0])
		require.NoError(t, err)
		require.Equal(t, []any{"tag", uint64(7), true, "x", "a.b"},
			[]any{string(d.ConsumerTag), d.Tag, d.Redelivered, string(d.Exchange), string(d.RoutingKey)})
		d.SetTag(frames[0], 9)
		d, err = DecodeDelivery(frames[0])
		require.NoError(t, err)
		require.Equal(t, uint64(9), d.Tag)

		var c Content
		var body []byte
		for i, f := range frames {
			require.LessOrEqual(t, len(f.Raw), 4096)
			require.Equal(t, uint16(3), f.Channel)
			ends, err := c.Step(f)
			require.NoError(t, err)
			require.Equal(t, i == len(frames)-1, ends)
			if f.Type == FrameBody {
				body = append(body, f.Payload()...)
			}
		}
		require.Equal(t, m.Properties, Properties(frames[1]))
		require.Equal(t, uint64(size), BodySize(frames[1]))
		require.Len(t, body, size)
	}
}

func TestMethodsRoundTrip(t *testing.T) {
	one := func(b []byte) Frame {
		frames := read(t, b)
		require.Len(t, frames, 1)
		return frames[0]
	}
	want := Consume{Queue: "q", Tag: "t", NoLocal: true, NoAck: true, Exclusive: true, Arguments: []byte{1, 'k', 't', 1}}
	got, err := DecodeConsume(one(AppendConsume(nil, 1, want)))
	require.NoError(t, err)
	require.Equal(t, want, got)

	q := Qos{Size: 3, Count: 10, Global: true}
	gotQos, err := DecodeQos(one(AppendQos(nil, 1, q)))
	require.NoError(t, err)
	require.Equal(t, q, gotQos)

	s, err := DecodeSettlement(one(AppendAck(nil, 1, 5, true)))
	require.NoError(t, err)
	require.Equal(t, Settlement{Tag: 5, Multiple: true}, s)
	s, err = DecodeSettlement(one(AppendNack(nil, 1, 6)))
	require.NoError(t, err)
	require.Equal(t, Settlement{Tag: 6, Requeue: true}, s)

	tag, noWait, err := DecodeConsumerTag(one(AppendCancel(nil, 1, "t")))
	require.NoError(t, err)
	require.Equal(t, "t", tag)
	require.False(t, noWait)

	noWait, err = NoWait(one(AppendConfirmSelect(nil, 1)))
	require.NoError(t, err)
	require.True(t, noWait)

	code, text, err := DecodeClose(one(AppendConnectionClose(nil, &Error{Code: CodeFrameError, Text: "bad"})))
	require.NoError(t, err)
	require.Equal(t, uint16(501), code)
	require.Equal(t, "bad", text)

	require.Equal(t, byte(FrameHeartbeat), one(Heartbeat).Type)
	require.Equal(t, ChannelFlow, one(AppendFlow(nil, 1)).Method())
}

func TestDeclareBecomesPassive(t *testing.T) {
	f := read(t, method(nil, 1, QueueDeclare).u16(0).short("q").u8(2|8|16).long(nil).end())[0]
	require.NoError(t, SetPassive(f))
	d, err := DecodeQueueDeclare(f)
	require.NoError(t, err)
	require.Equal(t, Declare{Queue: "q", Passive: true, AutoDelete: true, NoWait: true, Arguments: []byte{}}, d)
	noWait, err := NoWait(f)
	require.NoError(t, err)
	require.True(t, noWait)

	f = read(t, method(nil, 1, ExchangeDeclare).u16(0).short("x").short("topic").u8(2).long(nil).end())[0]
	require.NoError(t, SetPassive(f))
	require.Equal(t, byte(3), f.Payload()[4+2+2+6])
	require.Error(t, SetPassive(read(t, method(nil, 1, QueueDeclare).u16(0).short("q").end())[0]))
}

func TestReaderRefuses(t *testing.T) {
	cases := map[string]struct {
		b    []byte
		code uint16
	}{
		"end octet":       {[]byte{FrameMethod, 0, 1, 0, 0, 0, 4, 0, 60, 0, 80, 0}, CodeFrameError},
		"unknown type":    {[]byte{9, 0, 1, 0, 0, 0, 0, frameEnd}, CodeFrameError},
		"too large":       {[]byte{FrameBody, 0, 1, 0xff, 0xff, 0xff, 0xff}, CodeFrameError},
		"short method":    {[]byte{FrameMethod, 0, 1, 0, 0, 0, 2, 0, 60, frameEnd}, CodeFrameError},
		"short header":    {[]byte{FrameHeader, 0, 1, 0, 0, 0, 2, 0, 60, frameEnd}, CodeFrameError},
		"body on 0":       {[]byte{FrameBody, 0, 0, 0, 0, 0, 0, frameEnd}, CodeUnexpectedFrame},
		"heartbeat not 0": {[]byte{FrameHeartbeat, 0, 1, 0, 0, 0, 0, frameEnd}, CodeUnexpectedFrame},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := NewReader(bytes.NewReader(c.b)).Next()
			var protocol *Error
			require.True(t, errors.As(err, &protocol), "%v", err)
			require.Equal(t, c.code, protocol.Code)
		})
	}
	_, err := NewReader(bytes.NewReader([]byte{1, 0})).Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestContentRefuses(t *testing.T) {
	header := func(size uint64) Frame {
		return read(t, begin(nil, FrameHeader, 1).u16(ClassBasic).u16(0).u64(size).u16(0).end())[0]
	}
	body := func(n int) Frame { return read(t, begin(nil, FrameBody, 1).raw(make([]byte, n)).end())[0] }
	publish := read(t, method(nil, 1, BasicPublish).u16(0).short("").short("q").u8(0).end())[0]
	for name, frames := range map[string][]Frame{
		"header first":   {header(1)},
		"body first":     {body(1)},
		"body early":     {publish, body(1)},
		"body too large": {publish, header(1), body(2)},
		"two headers":    {publish, header(1), header(1)},
		"two methods":    {publish, publish},
		"method in body": {publish, header(5), body(1), publish},
	} {
		t.Run(name, func(t *testing.T) {
			var c Content
			var err error
			for _, f := range frames {
				require.NoError(t, err)
				_, err = c.Step(f)
			}
			require.Error(t, err)
		})
	}
}

func TestCanonicalProperties(t *testing.T) {
	table := func(fields ...string) []byte {
		var b []byte
		for _, k := range fields {
			b = append(b, byte(len(k)))
			b = append(append(b, k...), 'I', 0, 0, 0, k[0])
		}
		return b
	}
	props := func(flags uint16, headers []byte, id string, stamp uint64, tail string) []byte {
		b := (&builder{}).u16(flags).long(headers)
		if flags&flagMessageID != 0 {
			b = b.short(id)
		}
		if flags&flagTimestamp != 0 {
			b = b.u64(stamp)
		}
		return b.short(tail).b
	}
	const flags = flagHeaders | flagMessageID | flagTimestamp | 1<<5
	a := CanonicalProperties(nil, props(flags, table("a", "b"), "id-1", 1, "type"))
	b := CanonicalProperties(nil, props(flags, table("b", "a"), "id-2", 2, "type"))
	require.Equal(t, a, b, "order of headers, message-id and timestamp do not matter")
	require.Equal(t, a, CanonicalProperties(nil, props(flagHeaders|1<<5, table("a", "b"), "", 0, "type")))
	require.NotEqual(t, a, CanonicalProperties(nil, props(flags, table("a", "c"), "id-1", 1, "type")))
	require.NotEqual(t, a, CanonicalProperties(nil, props(flags, table("a", "b"), "id-1", 1, "other")))
	require.Equal(t, []byte{0xff}, CanonicalProperties(nil, []byte{0xff}), "what is malformed stays as it is")
}

func TestHasTableKey(t *testing.T) {
	table := (&builder{}).short("x-a").u8('t').u8(1).short("x-queue-type").u8('S').long([]byte("stream")).b
	require.True(t, HasTableKey(table, "x-queue-type", "stream"))
	require.True(t, HasTableKey(table, "x-a", ""))
	require.False(t, HasTableKey(table, "x-queue-type", "quorum"))
	require.False(t, HasTableKey(table, "x-b", ""))
	require.False(t, HasTableKey(table[:len(table)-1], "x-queue-type", "stream"))
}
