package gate

import (
	"context"
	"errors"
	"net"

	"github.com/stretchr/testify/require"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/transport"
)

// pod is an instance: an app, its gate, and the gate's folder on the node.
type pod struct {
	w     *world
	name  string
	start control.Mode
	// gate is nil while it is down.
	gate *Gate
	app  *app
	// rec in the gate's folder, which may be full.
	rec  *record
	full bool
	// stopped is the app's memory when its gate had handed over.
	stopped *mind
}

func (w *world) newPod(name string, start control.Mode) *pod {
	p := &pod{w: w, name: name, start: start}
	w.pods = append(w.pods, p)
	p.boot()
	return p
}

// boot the gate.
func (p *pod) boot() {
	var err error
	p.gate, err = newGate(Config{
		Start: p.start, BrokerURI: "amqp://log:secret@log:5672",
		Upstream: func(net.Conn) (string, error) { return "app:5672", nil },
	}, outside{
		dial: p.dial, unread: unreadInModel,
		load: func() (record, bool, error) {
			if p.rec == nil {
				return record{}, false, nil
			}
			return *p.rec, true, nil
		},
		store: p.store,
	})
	require.NoError(p.w, err)
	p.gate.conns.Go(p.gate.beat)
}

func unreadInModel(c net.Conn) bool {
	out := c.(*end).out
	out.mu.Lock()
	defer out.mu.Unlock()
	return len(out.sent) > 0
}

func (p *pod) dial(_ context.Context, _ *transport.TLS, addr string) (net.Conn, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.w.away {
		return nil, errors.New("connection refused")
	}
	return p.w.b.accept(p.name, addr == "log:5672"), nil
}

func (p *pod) store(rec record) error {
	if p.full {
		return errors.New("no space left on device")
	}
	if rec.Mode == control.ModeHandedOver && p.app != nil {
		stopped := p.app.mind
		p.stopped = &stopped
	}
	p.rec = &rec
	return nil
}

// kill the gate: its folder stays as it is, and nothing that it has not written is written any more.
func (p *pod) kill() {
	if p.gate == nil {
		return
	}
	p.unplug()
	rec := p.rec
	p.gate.Close()
	p.rec, p.gate = rec, nil
}

// unplug all connections of the pod.
func (p *pod) unplug() {
	if p.app != nil {
		for _, i := range sorted(p.app.lines) {
			p.app.lines[i].lose()
		}
	}
	for _, s := range p.w.peersOf(p.name) {
		s.lose()
	}
}

// remove the pod.
func (p *pod) remove() {
	p.kill()
	p.app = nil
	for i, o := range p.w.pods {
		if o == p {
			p.w.pods = append(p.w.pods[:i:i], p.w.pods[i+1:]...)
		}
	}
}

// mode of the core, which is what decides about frames.
func (p *pod) mode() control.Mode {
	if p.gate == nil {
		return ""
	}
	p.gate.core.mu.Lock()
	defer p.gate.core.mu.Unlock()
	return p.gate.core.mode
}
