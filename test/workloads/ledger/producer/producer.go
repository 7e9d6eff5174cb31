// Package producer feeds a ledger and keeps account of what it sent: each producer numbers its messages, chains them,
// and sends again, with the same number, what a broken connection left unconfirmed.
package producer

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

// window bounds the unconfirmed messages of a producer.
const window = 256

// Options of a group of producers.
type Options struct {
	// Broker is an AMQP URI.
	Broker string
	Queues wire.Queues
	// Producers is their number, each with a connection and a channel of its own.
	Producers int
	// Rate of all together, messages per second.
	Rate     float64
	Arrivals Arrivals
	// Count of messages of all together; 0 goes on until Stop.
	Count int
	// PayloadBytes of each message.
	PayloadBytes int
}

// Group of producers.
type Group struct {
	options Options
	members []*member
	stop    chan struct{}
	stopped sync.Once
}

// New returns producers with names that were never used before, so that a ledger may be fed by group after group.
func New(options Options) (*Group, error) {
	if options.Producers < 1 {
		return nil, fmt.Errorf("making producers: %d is not at least one", options.Producers)
	}
	g := &Group{options: options, stop: make(chan struct{})}
	run := strings.ToLower(rand.Text()[:6])
	for i := range options.Producers {
		clock, err := newClock(options.Arrivals, options.Rate/float64(options.Producers))
		if err != nil {
			return nil, err
		}
		quota := options.Count / options.Producers
		if i < options.Count%options.Producers {
			quota++
		}
		g.members = append(g.members, &member{
			group: g, clock: clock, quota: quota,
			account: chain.Account{Producer: fmt.Sprintf("%s-%d", run, i+1)},
		})
	}
	return g, nil
}

// Run publishes until the count is reached or Stop is called, and all is confirmed; ctx aborts it.
func (g *Group) Run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, m := range g.members {
		all.Go(func() error {
			return wire.Sessions(ctx, g.options.Broker, "producer "+m.account.Producer, m.produce)
		})
	}
	return all.Wait()
}

// Stop lets Run end once everything sent is confirmed.
func (g *Group) Stop() { g.stopped.Do(func() { close(g.stop) }) }

// Accounts returns what has been sent so far.
func (g *Group) Accounts() []chain.Account {
	accounts := make([]chain.Account, 0, len(g.members))
	for _, m := range g.members {
		accounts = append(accounts, m.snapshot())
	}
	return accounts
}

// member is one producer.
type member struct {
	group *Group
	clock *clock
	// quota of messages; it counts only when the group has a count.
	quota int

	mu      sync.Mutex
	account chain.Account

	// unconfirmed messages, oldest first. Messages leave only at the front, so what is sent again is in order.
	unconfirmed []*sending
}

// sending is a message on its way.
type sending struct {
	publishing amqp.Publishing
	confirm    *amqp.DeferredConfirmation
}

// produce goes on in a new session where the last one ended.
func (m *member) produce(ctx context.Context, ch *amqp.Channel) error {
	if err := m.group.options.Queues.Declare(ch); err != nil {
		return err
	}
	m.dropConfirmed()
	for _, s := range m.unconfirmed {
		s.publishing = wire.Resent(s.publishing)
		if err := m.send(ctx, ch, s); err != nil {
			return err
		}
	}
	for m.due(ctx) {
		s := m.next(time.Now())
		m.unconfirmed = append(m.unconfirmed, s)
		if err := m.send(ctx, ch, s); err != nil {
			return err
		}
		if err := m.settle(ctx, window); err != nil {
			return err
		}
	}
	if err := m.settle(ctx, 0); err != nil {
		return err
	}
	m.mu.Lock()
	m.account.Complete = true
	m.mu.Unlock()
	return nil
}

// due waits for the next message's time and returns false when there is to be none.
func (m *member) due(ctx context.Context) bool {
	if m.group.options.Count > 0 && len(m.account.Sent) >= m.quota {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-m.group.stop:
		return false
	case <-time.After(m.clock.advance(time.Now())):
		return true
	}
}

// next makes a message and books it before it is sent: the consumer may apply it before its confirm comes.
func (m *member) next(now time.Time) *sending {
	m.mu.Lock()
	defer m.mu.Unlock()
	message := chain.Message{
		Producer: m.account.Producer, Sequence: uint64(len(m.account.Sent)) + 1,
		Payload: strings.Repeat("x", m.group.options.PayloadBytes),
	}
	p := wire.NewPublishing(message.ID(), message.Body(), now)
	m.account.Append(wire.Sent(m.group.options.Queues.In, p).Digest(), now)
	return &sending{publishing: p}
}

func (m *member) send(ctx context.Context, ch *amqp.Channel, s *sending) error {
	confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", m.group.options.Queues.In, false, false, s.publishing)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", s.publishing.MessageId, err)
	}
	s.confirm = confirm
	return nil
}

// settle drops what is confirmed and waits until at most so many messages are unconfirmed.
func (m *member) settle(ctx context.Context, atMost int) error {
	m.dropConfirmed()
	for len(m.unconfirmed) > atMost {
		first := m.unconfirmed[0]
		acked, err := first.confirm.WaitContext(ctx)
		if err != nil {
			return fmt.Errorf("awaiting confirm of %s: %w", first.publishing.MessageId, err)
		}
		if !acked {
			return fmt.Errorf("publishing %s: %w", first.publishing.MessageId, wire.ErrNotConfirmed)
		}
		m.dropConfirmed()
	}
	return nil
}

// dropConfirmed drops the messages at the front that the broker has confirmed, in this session or the last.
func (m *member) dropConfirmed() {
	for len(m.unconfirmed) > 0 && m.unconfirmed[0].confirmed() {
		m.unconfirmed = m.unconfirmed[1:]
	}
}

func (s *sending) confirmed() bool { return s.confirm != nil && s.confirm.Acked() }

func (m *member) snapshot() chain.Account {
	m.mu.Lock()
	defer m.mu.Unlock()
	// Entries never change once appended, so the copy may share them.
	account := m.account
	account.Sent = account.Sent[:len(account.Sent):len(account.Sent)]
	return account
}
