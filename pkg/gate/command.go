package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
	"ms2m.dev/ms2m-descheduler/pkg/gate/replaylog"
)

// logTimeout bounds what is asked of the log's broker connection at once.
const logTimeout = 5 * time.Second

// operation is a command that waits for the app. It goes on when its caller has gone, and is joined by the same command
// asked again; Resume ends it.
type operation struct {
	kind      control.Mode
	migration string
	cancel    context.CancelCauseFunc
	done      chan struct{}
	err       error
}

// errTakenBack ends an operation.
var errTakenBack = errors.New("taken back")

func refuse(r control.Reason, format string, args ...any) *control.Error {
	return &control.Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// check a command's head against the record. Called with commands held.
func (g *Gate) check(cmd control.Command) error {
	rec := g.record()
	switch {
	case cmd.Migration == "":
		return refuse(control.ReasonBadRequest, "the command names no migration")
	case rec.Migration == cmd.Migration && cmd.Epoch < rec.Epoch:
		return refuse(control.ReasonSuperseded, "epoch %d, the gate has obeyed %d", cmd.Epoch, rec.Epoch)
	case rec.Migration != "" && rec.Migration != cmd.Migration && rec.Mode != control.ModeOpen:
		return refuse(control.ReasonSuperseded, "migration %s is under way", rec.Migration)
	}
	return nil
}

// join an operation that runs, or start one. Called with commands held; it lets go of them.
func (g *Gate) join(ctx context.Context, kind control.Mode, cmd control.Command, run func(context.Context) error) error {
	op := g.op
	if op != nil && (op.kind != kind || op.migration != cmd.Migration) {
		g.commands.Unlock()
		return refuse(control.ReasonWrongMode, "the gate is busy: %s", op.kind)
	}
	if op == nil {
		opCtx, cancel := context.WithCancelCause(g.ending)
		op = &operation{kind: kind, migration: cmd.Migration, cancel: cancel, done: make(chan struct{})}
		g.op = op
		go func() {
			op.err = run(opCtx)
			g.commands.Lock()
			g.op = nil
			g.commands.Unlock()
			cancel(nil)
			close(op.done)
		}()
	}
	g.commands.Unlock()
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stopOperation that runs, if any, and return with commands held.
func (g *Gate) stopOperation() {
	g.commands.Lock()
	for g.op != nil {
		op := g.op
		op.cancel(errTakenBack)
		g.commands.Unlock()
		<-op.done
		g.commands.Lock()
	}
}

// record as it is on disk.
func (g *Gate) record() record {
	g.recMu.Lock()
	defer g.recMu.Unlock()
	return g.rec
}

// become writes a changed record. The caller then enters the mode.
func (g *Gate) become(change func(*record)) error {
	g.recMu.Lock()
	defer g.recMu.Unlock()
	rec := g.rec
	change(&rec)
	if err := g.out.store(rec); err != nil {
		return err
	}
	if rec.Mode != g.rec.Mode {
		slog.Info("mode changed", "from", g.rec.Mode, "to", rec.Mode, "migration", rec.Migration, "epoch", rec.Epoch)
	}
	g.rec = rec
	return nil
}

func (g *Gate) setMode(m control.Mode) {
	g.core.mu.Lock()
	defer g.core.mu.Unlock()
	g.core.setMode(m)
}

// openLog connects to the broker as the log's user, and declares the log if its name is known.
func (g *Gate) openLog(ctx context.Context, queue string) error {
	if g.logConn != nil {
		return nil
	}
	if g.cfg.BrokerURI == "" {
		return refuse(control.ReasonBroker, "no broker URI for the log: set MS2M_BROKER_URI")
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	conn, err := replaylog.Dial(ctx, g.cfg.BrokerURI, g.cfg.TLS, g.out.dial)
	if err == nil && queue != "" {
		if err = conn.Declare(ctx, queue); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		return refuse(control.ReasonBroker, "%v", err)
	}
	g.logConn = conn
	return nil
}

// dropLog closes the log and deletes it. While the broker cannot be reached it stays on record, and is tried again; at the
// worst it expires by itself.
func (g *Gate) dropLog() {
	log := g.record().Log
	if err := g.closeLog(log); err != nil {
		slog.Warn("deleting log failed, it is tried again", "queue", log, "err", err)
		time.AfterFunc(logTimeout, func() { g.dropAgain(log) })
		return
	}
	if log == "" {
		return
	}
	if err := g.become(func(rec *record) { rec.Log = "" }); err != nil {
		slog.Error("recording deletion of log failed", "err", err)
	}
}

// dropAgain unless the log has been deleted meanwhile, or something is going on.
func (g *Gate) dropAgain(log string) {
	g.commands.Lock()
	defer g.commands.Unlock()
	rec := g.record()
	if g.ending.Err() == nil && g.op == nil && rec.Mode == control.ModeOpen && rec.Log == log {
		g.dropLog()
	}
}

// closeLog and delete the queue, if it is named.
func (g *Gate) closeLog(queue string) error {
	conn, writer := g.logConn, g.writer
	g.logConn, g.writer = nil, nil
	g.core.mu.Lock()
	g.core.loggedBefore += g.core.logged()
	g.core.log = nil
	g.core.mu.Unlock()
	if writer != nil {
		writer.Stop()
	}
	if conn != nil {
		defer conn.Close()
	}
	if queue == "" || g.cfg.BrokerURI == "" {
		return nil
	}
	return g.deleteLog(conn, queue)
}

// deleteLog over the connection that there is, or a new one.
func (g *Gate) deleteLog(conn *replaylog.Conn, queue string) error {
	ctx, cancel := context.WithTimeout(g.ending, logTimeout)
	defer cancel()
	if conn != nil && conn.Delete(ctx, queue) == nil {
		return nil
	}
	conn, err := replaylog.Dial(ctx, g.cfg.BrokerURI, g.cfg.TLS, g.out.dial)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Delete(ctx, queue)
}
