package main

import (
	"errors"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// step of a case: its operation in "op", and its arguments.
type step map[string]any

type result map[string]any

func (s step) text(name string) string { v, _ := s[name].(string); return v }
func (s step) flag(name string) bool   { v, _ := s[name].(bool); return v }
func (s step) number(name string) int  { v, _ := s[name].(float64); return int(v) }

func (s step) table(name string) amqp091.Table {
	v, _ := s[name].(map[string]any)
	return tableOf(v)
}

func (s step) named(name string) string {
	if v := s.text(name); v != "" {
		return v
	}
	return "main"
}

// failure is the result of a step that failed.
func failure(err error) result {
	r := result{"fails": true}
	var reason *amqp091.Error
	if errors.As(err, &reason) {
		r["code"], r["text"] = reason.Code, reason.Reason
	} else {
		r["text"] = err.Error()
	}
	return r
}

// patience is how long is waited for what must come.
const patience = 20 * time.Second

var errImpatient = errors.New("waited in vain")

// take what comes on a channel.
func take[T any](from <-chan T) (v T, err error) {
	select {
	case v, ok := <-from:
		if !ok {
			return v, errors.New("closed while waiting")
		}
		return v, nil
	case <-time.After(patience):
		return v, errImpatient
	}
}
