//go:build integration

package gate

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/amqp"
)

// wire is a connection on which bytes are written as they are.
type wire struct {
	t *testing.T
	net.Conn
	frames *amqp.Reader
}

// frame of any kind, with any payload.
func frame(kind byte, channel uint16, payload ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind}, channel)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(append(b, payload...), 0xce)
}

func methodOn(channel uint16, m amqp.Method, arguments ...byte) []byte {
	return frame(amqp.FrameMethod, channel, append(binary.BigEndian.AppendUint32(nil, uint32(m)), arguments...)...)
}

// header of a content of class basic, without properties.
func header(channel uint16, size byte) []byte {
	return frame(amqp.FrameHeader, channel, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0)
}

func body(channel uint16, b string) []byte { return frame(amqp.FrameBody, channel, []byte(b)...) }

// publish to a queue that there is not.
func publish(channel uint16) []byte {
	return methodOn(channel, amqp.BasicPublish, 0, 0, 0, 1, 'q', 0)
}

const negotiated = 4096

// opened connection of an app, with channel 1.
func opened(t *testing.T, uri string) *wire {
	t.Helper()
	u, err := url.Parse(uri)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	w := &wire{t: t, Conn: conn, frames: amqp.NewReader(conn)}
	password, _ := u.User.Password()
	sasl := "\x00" + u.User.Username() + "\x00" + password
	startOk := append([]byte{0, 0, 0, 0, 5, 'P', 'L', 'A', 'I', 'N', 0, 0, 0, byte(len(sasl))}, sasl...)
	w.send([]byte("AMQP\x00\x00\x09\x01"))
	w.expect(amqp.ConnectionStart)
	w.send(methodOn(0, amqp.ConnectionStartOk, append(startOk, 5, 'e', 'n', '_', 'U', 'S')...))
	w.expect(amqp.ConnectionTune)
	tuneOk := binary.BigEndian.AppendUint32([]byte{0, 10}, negotiated)
	w.send(methodOn(0, amqp.ConnectionTuneOk, append(tuneOk, 0, 0)...))
	w.send(methodOn(0, amqp.ConnectionOpen, 1, '/', 0, 0))
	w.expect(amqp.ConnectionOpenOk)
	w.send(amqp.AppendChannelOpen(nil, 1))
	w.expect(amqp.ChannelOpenOk)
	return w
}

func (w *wire) send(b []byte) {
	w.t.Helper()
	_, err := w.Write(b)
	require.NoError(w.t, err)
}

func (w *wire) expect(m amqp.Method) {
	w.t.Helper()
	f, err := w.frames.Next()
	require.NoError(w.t, err)
	require.Equal(w.t, m, f.Method())
}

const goesOn = "goes on"

// answer to what was sent: which error the connection or the channel is closed with, or that all is well still.
func (w *wire) answer() string {
	for {
		f, err := w.frames.Next()
		switch m := f.Method(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "nothing"
		case err != nil:
			return "closed without a word"
		case m == amqp.BasicQosOk:
			return goesOn
		case m == amqp.ConnectionClose || m == amqp.ChannelClose:
			code, _, err := amqp.DecodeClose(f)
			require.NoError(w.t, err)
			if m == amqp.ChannelClose {
				return fmt.Sprintf("channel %d", code)
			}
			return fmt.Sprintf("connection %d", code)
		}
	}
}

// oversized frame, by some bytes more than was negotiated.
func oversized(by int) []byte {
	size := negotiated - amqp.Overhead + by
	return join(publish(1), frame(amqp.FrameHeader, 1, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, byte(size>>8), byte(size), 0, 0),
		frame(amqp.FrameBody, 1, make([]byte, size)...))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// next method, for what is noticed only then: whoever waits for more of a content is waiting still.
var next = methodOn(1, amqp.TxSelect)

// hostile bytes, RabbitMQ's answer, and the gate's, if it is another one, with the reason.
var hostile = map[string]struct {
	bytes             []byte
	broker, gate, why string
}{
	"frame of unknown type":         {bytes: frame(7, 1, 0), broker: "connection 501"},
	"no end octet":                  {bytes: append(methodOn(1, amqp.TxSelect)[:11], 0), broker: "connection 501"},
	"end octet within the method":   {bytes: func() []byte { b := publish(1); b[6]--; return b }(), broker: "connection 501"},
	"frame larger by 1":             {bytes: oversized(1), broker: goesOn},
	"frame larger by 8":             {bytes: oversized(8), broker: goesOn},
	"frame larger by 9":             {bytes: oversized(9), broker: "connection 501"},
	"frame of 1 GiB":                {bytes: []byte{1, 0, 1, 0x40, 0, 0, 0}, broker: "connection 501"},
	"frame of 4 GiB":                {bytes: []byte{1, 0, 1, 0xff, 0xff, 0xff, 0xff}, broker: "connection 501"},
	"protocol header again":         {bytes: []byte("AMQP\x00\x00\x09\x01"), broker: "connection 501"},
	"header on channel 0":           {bytes: header(0, 1), broker: "connection 505"},
	"body on channel 0":             {bytes: body(0, "b"), broker: "connection 505"},
	"heartbeat on channel 1":        {bytes: frame(amqp.FrameHeartbeat, 1), broker: "connection 505"},
	"heartbeat with a payload":      {bytes: frame(amqp.FrameHeartbeat, 0, 1), broker: "connection 501"},
	"method frame of 0 bytes":       {bytes: frame(amqp.FrameMethod, 1), broker: "connection 501"},
	"method frame of 3 bytes":       {bytes: frame(amqp.FrameMethod, 1, 0, 60, 0), broker: "connection 501"},
	"header frame of 3 bytes":       {bytes: join(publish(1), frame(amqp.FrameHeader, 1, 0, 60, 0)), broker: "connection 501"},
	"unknown class":                 {bytes: methodOn(1, 99<<16|1), broker: "closed without a word"},
	"unknown method":                {bytes: methodOn(1, 60<<16|99), broker: "closed without a word"},
	"method of a broker":            {bytes: methodOn(1, amqp.BasicQosOk), broker: "connection 503"},
	"delivery from an app":          {bytes: join(methodOn(1, amqp.BasicDeliver, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), next), broker: "connection 505"},
	"channel that is not open":      {bytes: amqp.AppendFlow(nil, 2), broker: "connection 504"},
	"content without open channel":  {bytes: join(publish(2), header(2, 1), body(2, "b")), broker: "connection 504"},
	"channel that there cannot be":  {bytes: amqp.AppendChannelOpen(nil, 11), broker: goesOn},
	"channel opened twice":          {bytes: amqp.AppendChannelOpen(nil, 1), broker: "connection 504"},
	"connection's method elsewhere": {bytes: methodOn(1, amqp.ConnectionOpen, 1, '/', 0, 0), broker: "connection 503"},
	"channel's method on channel 0": {bytes: methodOn(0, amqp.TxSelect), broker: "connection 504"},
	"connection opened twice":       {bytes: methodOn(0, amqp.ConnectionOpen, 1, '/', 0, 0), broker: "connection 504"},
	"tuned again":                   {bytes: methodOn(0, amqp.ConnectionTuneOk, 0, 10, 0, 0, 0x20, 0, 0, 0), broker: "connection 504"},
	"header without publish":        {bytes: header(1, 1), broker: "connection 505"},
	"body without publish":          {bytes: body(1, "b"), broker: "connection 505"},
	"body without header":           {bytes: join(publish(1), body(1, "b")), broker: "connection 505"},
	"method within a content":       {bytes: join(publish(1), methodOn(1, amqp.TxSelect)), broker: "connection 505"},
	"method before the body":        {bytes: join(publish(1), header(1, 1), methodOn(1, amqp.TxSelect)), broker: "connection 505"},
	"two headers":                   {bytes: join(publish(1), header(1, 1), header(1, 1)), broker: "connection 505"},
	"body larger than announced":    {bytes: join(publish(1), header(1, 1), body(1, "bb"), next), broker: "connection 505"},
	"header of another class":       {bytes: join(publish(1), frame(amqp.FrameHeader, 1, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0)), broker: "connection 505"},
	"properties cut off":            {bytes: join(publish(1), frame(amqp.FrameHeader, 1, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 9, 'x'), body(1, "b")), broker: "connection 541"},
	"headers cut off":               {bytes: join(publish(1), frame(amqp.FrameHeader, 1, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 9, 'x'), body(1, "b")), broker: "connection 541"},
	"body of 2^64-1 bytes":          {bytes: join(publish(1), frame(amqp.FrameHeader, 1, 0, 60, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0), body(1, "b"), next), broker: "connection 505"},
	"publish cut off":               {bytes: methodOn(1, amqp.BasicPublish, 0, 0, 9, 'x'), broker: "connection 501"},
	"ack cut off":                   {bytes: methodOn(1, amqp.BasicAck, 0, 0), broker: "connection 501"},
	"consume cut off":               {bytes: methodOn(1, amqp.BasicConsume, 0, 0, 9, 'q'), broker: "connection 501"},
	"declare cut off":               {bytes: methodOn(1, amqp.QueueDeclare, 0, 0, 9, 'q'), broker: "connection 501"},
	"declare with a broken table":   {bytes: methodOn(1, amqp.QueueDeclare, 0, 0, 1, 'q', 0, 0, 0, 0, 4, 1, 'k', 'S', 9), broker: "closed without a word"},
	"declare with an unknown type":  {bytes: methodOn(1, amqp.QueueDeclare, 0, 0, 1, 'q', 0, 0, 0, 0, 4, 1, 'k', 'Z', 9), broker: "closed without a word"},
	"arguments too many":            {bytes: methodOn(1, amqp.BasicAck, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3), broker: "connection 501", gate: goesOn, why: "there is nothing to acknowledge, so it does not reach the broker"},
	"unknown delivery tag":          {bytes: amqp.AppendAck(nil, 1, 42, false), broker: "channel 406"},
	"empty bodies":                  {bytes: join(publish(1), header(1, 1), bytes.Repeat(body(1, ""), 1000), body(1, "b")), broker: goesOn},
}

// TestHostileFrames: what an app may send in bad faith or by mistake is answered as RabbitMQ answers it, or it is known
// why not; and the gate lives on.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	g := startGate(t, "open")
	for what, c := range hostile {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			direct, through := opened(t, shared.uri), opened(t, g.uri())
			want := cmp.Or(c.gate, c.broker)
			require.Equal(t, c.gate != "", c.why != "", "a difference has a reason")
			direct.send(c.bytes)
			through.send(c.bytes)
			if c.broker == goesOn {
				direct.send(amqp.AppendQos(nil, 1, amqp.Qos{Count: 7}))
			}
			if want == goesOn {
				through.send(amqp.AppendQos(nil, 1, amqp.Qos{Count: 7}))
			}
			require.Equal(t, c.broker, direct.answer(), "RabbitMQ")
			require.Equal(t, want, through.answer(), "through the gate")
		})
	}
}
