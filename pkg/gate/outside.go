package gate

import (
	"context"
	"net"

	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
	"ms2m.dev/ms2m-descheduler/pkg/gate/transport"
)

// outside is what a gate reaches beyond the connections of its app. Tests put a model of it in its place.
type outside struct {
	// dial the broker.
	dial replaylog.Dialer
	// unread tells whether the app has still to read something that was written to it.
	unread func(app net.Conn) bool
	// load the mode record, and store it durably.
	load  func() (rec record, found bool, err error)
	store func(record) error
}

func newOutside(folder string) outside {
	return outside{
		dial: func(ctx context.Context, t *transport.TLS, address string) (net.Conn, error) {
			return t.Dial(ctx, address)
		},
		unread: unread,
		load:   func() (record, bool, error) { return readRecord(folder) },
		store:  func(rec record) error { return rec.write(folder) },
	}
}

// turn is a mutex made of a channel: unlike one of package sync, a synctest bubble knows who waits for it.
type turn chan struct{}

func newTurn() turn    { return make(turn, 1) }
func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }
