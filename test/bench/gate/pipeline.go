package gate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// pipeline leads messages from a producer through an app to a sink. Producer and sink are connected to the broker, the
// app to the gate or to the broker.
type pipeline struct {
	*connections
	in, out  string
	producer *amqp091.Channel
	outputs  <-chan amqp091.Delivery
	app      *app
}

// newPipeline with an app that is connected to appURI.
func newPipeline(broker, appURI string) (_ *pipeline, err error) {
	p := &pipeline{connections: newConnections()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.producer, err = p.channel(broker, amqp091.Config{}); err != nil {
		return nil, err
	}
	sink, err := p.channel(broker, amqp091.Config{})
	if err != nil {
		return nil, err
	}
	if p.in, err = p.queue(sink, "in"); err != nil {
		return nil, err
	}
	if p.out, err = p.queue(sink, "out"); err != nil {
		return nil, err
	}
	if p.outputs, err = sink.Consume(p.out, "", true, false, false, false, nil); err != nil {
		return nil, fmt.Errorf("subscribing the sink: %w", err)
	}
	if p.app, err = startApp(appURI, p.in, p.out); err != nil {
		return nil, err
	}
	p.finally(p.app.stop)
	return p, nil
}

// send a message, whose first eight bytes say when.
func (p *pipeline) send(body []byte) error {
	binary.BigEndian.PutUint64(body, uint64(time.Since(started)))
	return p.producer.Publish("", p.in, false, false, amqp091.Publishing{Body: body})
}

// receive the output of a message, and how long the message took.
func (p *pipeline) receive(ctx context.Context) (time.Duration, error) {
	select {
	case m, ok := <-p.outputs:
		if !ok {
			return 0, errors.New("the sink's connection has ended")
		}
		return time.Since(started) - time.Duration(binary.BigEndian.Uint64(m.Body)), nil
	case err := <-p.app.failed:
		return 0, err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
