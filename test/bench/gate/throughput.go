package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// window of messages that are on their way: enough for nobody to wait but for the slowest, which is the machine.
const window = 512

// throughput at saturation: messages per second that reach the sink, and all that did.
func (b *bench) throughput(ctx context.Context, appURI string, size int) (perSecond float64, messages int, err error) {
	p, err := newPipeline(b.broker, appURI)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	ctx, cancel := context.WithTimeout(ctx, b.WarmUp+b.Round+patience)
	defer cancel()
	perSecond, messages, err = p.saturate(ctx, size, b.WarmUp, b.Round)
	if err != nil {
		return 0, 0, fmt.Errorf("measuring throughput: %w", err)
	}
	return perSecond, messages, nil
}

// saturate a pipeline for a time, of which the last part counts.
func (p *pipeline) saturate(ctx context.Context, size int, warmUp, counted time.Duration) (perSecond float64, messages int, err error) {
	begin := time.Now().Add(warmUp)
	end := begin.Add(counted)
	onTheirWay := make(chan struct{}, window)
	run, ctx := errgroup.WithContext(ctx)
	run.Go(func() error {
		defer close(onTheirWay)
		for body := make([]byte, size); time.Now().Before(end); {
			select {
			case onTheirWay <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := p.send(body); err != nil {
				return err
			}
		}
		return nil
	})
	run.Go(func() error {
		before := 0
		for range onTheirWay {
			if _, err := p.receive(ctx); err != nil {
				return err
			}
			messages++
			switch now := time.Now(); {
			case now.Before(begin):
				before = messages
			case now.Before(end):
				perSecond = float64(messages-before) / now.Sub(begin).Seconds()
			}
		}
		return nil
	})
	return perSecond, messages, run.Wait()
}
