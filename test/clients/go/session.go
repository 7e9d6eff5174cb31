package main

import (
	"fmt"

	"github.com/rabbitmq/amqp091-go"
)

// session of a case: connections and channels by the names that it gives them, each one "main" from the beginning.
type session struct {
	uri         string
	ask         func(string) error
	connections map[string]*connection
	channels    map[string]*channel
	// queue declared last, and replyTo of the last message.
	queue, reply string
}

func newSession(uri string, ask func(string) error) *session {
	return &session{uri: uri, ask: ask, connections: map[string]*connection{}, channels: map[string]*channel{}}
}

// carryOut steps until one fails that should not.
func (s *session) carryOut(steps []step) []result {
	first := []step{{"op": "connection.open", "connection": "main"}, {"op": "channel.open", "channel": "main"}}
	for _, step := range first {
		if _, err := s.do(step); err != nil {
			return []result{failure(err)}
		}
	}
	var results []result
	for _, step := range steps {
		r, err := s.do(step)
		if err != nil {
			r = failure(err)
		}
		results = append(results, r)
		if err != nil && !step.flag("fails") {
			break
		}
	}
	return results
}

func (s *session) do(step step) (result, error) {
	for k, v := range step {
		switch v {
		case "@queue":
			step[k] = s.queue
		case "@reply":
			step[k] = s.reply
		}
	}
	op := step.text("op")
	if do, ok := onSession[op]; ok {
		return do(s, step)
	}
	if do, ok := onConnection[op]; ok {
		c, ok := s.connections[step.named("connection")]
		if !ok {
			return nil, fmt.Errorf("no connection %q", step.named("connection"))
		}
		return do(c, step)
	}
	do, ok := onChannel[op]
	if !ok {
		return nil, fmt.Errorf("unknown step %q", op)
	}
	ch, ok := s.channels[step.named("channel")]
	if !ok {
		return nil, fmt.Errorf("no channel %q", step.named("channel"))
	}
	return do(ch, step)
}

var onSession = map[string]func(*session, step) (result, error){
	"connection.open": (*session).connect,
	"channel.open":    (*session).open,
	"ask alarm":       func(s *session, _ step) (result, error) { return nil, s.ask("alarm") },
	"ask relief":      func(s *session, _ step) (result, error) { return nil, s.ask("relief") },
	"await time":      awaitTime,
}

// open a channel, and listen to all that it tells.
func (s *session) open(step step) (result, error) {
	c, ok := s.connections[step.named("connection")]
	if !ok {
		return nil, fmt.Errorf("no connection %q", step.named("connection"))
	}
	ch, err := c.Channel()
	if err != nil {
		return nil, err
	}
	opened := &channel{
		Channel: ch, session: s,
		closed:   ch.NotifyClose(make(chan *amqp091.Error, 1)),
		returns:  ch.NotifyReturn(make(chan amqp091.Return, 10)),
		cancels:  ch.NotifyCancel(make(chan string, 10)),
		incoming: make(chan amqp091.Delivery, 100),
	}
	s.channels[step.named("channel")] = opened
	if step.flag("confirm") {
		return nil, opened.selectConfirms(step)
	}
	return nil, nil
}

// end whatever the case has left open.
func (s *session) end() {
	for _, c := range s.connections {
		_ = c.Close() // it may have been closed
	}
}
