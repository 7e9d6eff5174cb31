package plugin

import (
	"context"
	"log/slog"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

// retryAfter is the pause before a descheduler that failed is started again.
const retryAfter = 10 * time.Second

// Loop runs the policy in force, and another as soon as it comes into force.
type Loop struct {
	InForce <-chan *policy.Policy
	// Run a policy until the context ends.
	Run func(context.Context, *policy.Policy) error
}

// Start runs policies until ctx ends. At most one runs at any time.
func (l *Loop) Start(ctx context.Context) error {
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-l.InForce:
			stop()
			stop = func() {}
			if p != nil {
				stop = l.begin(ctx, p)
			}
		}
	}
}

// begin runs p until the returned function, which waits for its end, is called.
func (l *Loop) begin(ctx context.Context, p *policy.Policy) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.keepRunning(ctx, p)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (l *Loop) keepRunning(ctx context.Context, p *policy.Policy) {
	for {
		slog.InfoContext(ctx, "Descheduler started", "policy", p.Version,
			"interval", p.Migration.Interval.Duration, "dryRun", p.Migration.DryRun)
		err := l.Run(ctx, p)
		if ctx.Err() != nil {
			slog.InfoContext(ctx, "Descheduler stopped", "policy", p.Version)
			return
		}
		slog.ErrorContext(ctx, "Descheduler failed, starting it again", "policy", p.Version, "after", retryAfter, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}
