//go:build integration

package gate

import (
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
)

// brokerFault strikes all scenes of a broker at once.
type brokerFault struct {
	strike func(*testing.T, *rabbitmq.Broker, []*scene)
	breaks [2]string
	// forgets: the broker may have forgotten what it did in the last two seconds.
	forgets bool
}

var brokerFaults = map[string]brokerFault{
	"restarts": {func(t *testing.T, b *rabbitmq.Broker, _ []*scene) {
		require.NoError(t, b.Restart(t.Context()))
	}, whileEitherNeeded, false},
	"crashes": {func(t *testing.T, b *rabbitmq.Broker, _ []*scene) {
		b.Kill()
		require.NoError(t, b.Restart(t.Context()))
	}, whileEitherNeeded, true},
	"freezes for a while": {func(t *testing.T, b *rabbitmq.Broker, _ []*scene) {
		require.NoError(t, b.Freeze())
		_, err := amqp091.DialConfig(b.URI(rabbitmq.Admin), amqp091.Config{Dial: amqp091.DefaultDial(time.Second)})
		require.Error(t, err)
		require.NoError(t, b.Thaw())
	}, never, false},
	"freezes until connections die": {func(t *testing.T, b *rabbitmq.Broker, scenes []*scene) {
		require.NoError(t, b.Freeze())
		for _, s := range scenes {
			eventually(t, "connections end", func() bool {
				return s.source.status().Consumers == 0 && (s.target == nil || s.target.status().Consumers == 0)
			})
		}
		require.NoError(t, b.Thaw())
	}, whileEitherNeeded, false},
}

// TestBrokerFaults: a broker of its own is struck while one scene stands in each phase.
func TestBrokerFaults(t *testing.T) {
	b := startBroker(t)
	for name, f := range brokerFaults {
		t.Run(name, func(t *testing.T) {
			var scenes []*scene
			for i := range phases {
				s := siteOf(b).newScene(t, nil)
				s.advance(i)
				scenes = append(scenes, s)
			}
			for _, s := range scenes {
				s.pause()
			}
			f.strike(t, b, scenes)
			for i, s := range scenes {
				t.Run(phases[i].name, func(t *testing.T) {
					s.in(t)
					s.proceed()
					fault{breaks: f.breaks}.require(s, i, s.conclude(i))
					if f.forgets && i >= phaseIndex(committed) {
						return // a log whose deletion was forgotten is there again, until it expires
					}
					s.source.at.requireNoQueue(t, s.log)
				})
			}
		})
	}
}

// pause producing, with messages that the app has not seen in the queue.
func (s *scene) pause() {
	s.stop()
	for range 20 {
		s.p.send()
	}
}

// proceed after the broker may have lost the producer's connection.
func (s *scene) proceed() {
	s.p.connect()
	s.stop = s.p.background(100)
}

// in a subtest, the scene's parts fail that one.
func (s *scene) in(t *testing.T) {
	s.t, s.p.t = t, t
}
