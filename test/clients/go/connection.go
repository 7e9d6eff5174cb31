package main

import (
	"net/url"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

type connection struct {
	*amqp091.Connection
	closed  chan *amqp091.Error
	blocked chan amqp091.Blocking
}

func (s *session) connect(step step) (result, error) {
	uri, err := url.Parse(s.uri)
	if err != nil {
		return nil, err
	}
	user, password := uri.User.Username(), ""
	if password, _ = uri.User.Password(); step["user"] != nil {
		user = step.text("user")
	}
	if step["password"] != nil {
		password = step.text("password")
	}
	uri.User = url.UserPassword(user, password)
	if step["vhost"] != nil {
		uri.Path = "/" + step.text("vhost")
	}
	conn, err := amqp091.DialConfig(uri.String(), amqp091.Config{Heartbeat: time.Duration(step.number("heartbeat")) * time.Second})
	if err != nil {
		return nil, err
	}
	s.connections[step.named("connection")] = &connection{
		Connection: conn,
		closed:     conn.NotifyClose(make(chan *amqp091.Error, 1)),
		blocked:    conn.NotifyBlocked(make(chan amqp091.Blocking, 10)),
	}
	return result{
		"product": conn.Properties["product"], "server": neutral(conn.Properties),
		"frameMax": conn.Config.FrameSize, "channelMax": conn.Config.ChannelMax, "heartbeat": conn.Config.Heartbeat.Seconds(),
	}, nil
}

var onConnection = map[string]func(*connection, step) (result, error){
	"connection.close": func(c *connection, _ step) (result, error) { return nil, c.Close() },
	"await disconnected": func(c *connection, _ step) (result, error) {
		reason, err := take(c.closed)
		if err != nil {
			return nil, err
		}
		return result{"code": reason.Code, "text": reason.Reason}, nil
	},
	"await blocked":   func(c *connection, _ step) (result, error) { return c.awaitBlocked(true) },
	"await unblocked": func(c *connection, _ step) (result, error) { return c.awaitBlocked(false) },
}

func (c *connection) awaitBlocked(active bool) (result, error) {
	for {
		b, err := take(c.blocked)
		if err != nil {
			return nil, err
		}
		if b.Active == active {
			return result{"reason": b.Reason}, nil
		}
	}
}

func awaitTime(_ *session, step step) (result, error) {
	time.Sleep(time.Duration(step.number("seconds")) * time.Second)
	return nil, nil
}
