package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"ms2m.dev/ms2m-descheduler/test/report"
)

const (
	// latencyRate in messages per second, of latencySize bytes.
	latencyRate = 1000
	latencySize = 1024
	// patience with the last messages of a round.
	patience = time.Minute
)

// latency of messages, each from before the producer's publish until the sink has the output.
func (b *bench) latency(ctx context.Context, appURI string) (_ report.Latency, err error) {
	p, err := newPipeline(b.broker, appURI)
	if err != nil {
		return report.Latency{}, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	warm, counted := int(latencyRate*b.WarmUp.Seconds()), int(latencyRate*b.Round.Seconds())
	micros := make([]float64, 0, counted)
	ctx, cancel := context.WithTimeout(ctx, b.WarmUp+b.Round+patience)
	defer cancel()
	run, ctx := errgroup.WithContext(ctx)
	run.Go(func() error { return p.sendAtRate(ctx, warm+counted) })
	run.Go(func() error {
		for i := range warm + counted {
			took, err := p.receive(ctx)
			if err != nil {
				return err
			}
			if i >= warm {
				micros = append(micros, float64(took.Nanoseconds())/1000)
			}
		}
		return nil
	})
	if err := run.Wait(); err != nil {
		return report.Latency{}, fmt.Errorf("measuring latency: %w", err)
	}
	slices.Sort(micros)
	at := func(q float64) float64 { return micros[int(q*float64(len(micros)-1))] }
	return report.Latency{P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}, nil
}

// sendAtRate keeps to a clock that does not wait for the messages before. Go's own timers are a millisecond coarse.
func (p *pipeline) sendAtRate(ctx context.Context, count int) error {
	body := make([]byte, latencySize)
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("reading clock: %w", err)
	}
	for i := range count {
		at := unix.NsecToTimespec(now.Nano() + int64(i)*int64(time.Second)/latencyRate)
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.send(body); err != nil {
			return err
		}
	}
	return nil
}
