package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	rabbitmq "ms2m.dev/ms2m-descheduler/test/broker"
	"ms2m.dev/ms2m-descheduler/test/report"
)

// Sizes of messages whose throughput is measured, in bytes.
var Sizes = []int{100, 1 << 10, 64 << 10}

// Options of a measurement.
type Options struct {
	// Rounds of each kind, each with a direct connection and with the gate.
	Rounds int
	// Round is how long one is measured, after WarmUp.
	Round, WarmUp time.Duration
	// Say tells a person what is being done.
	Say func(format string, args ...any)
}

// bench is a broker with a gate.
type bench struct {
	Options
	// folder of what is deleted in the end, and binary of the gate in it.
	folder, binary string
	// broker is its URI.
	broker string
	gate   *process
}

// Measure what the gate costs.
func Measure(ctx context.Context, o Options) (cost report.GateCost, err error) {
	b := &bench{Options: o}
	if b.folder, err = os.MkdirTemp("", "ms2m-bench"); err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.folder)) }()
	if b.binary, err = build(ctx, b.folder); err != nil {
		return cost, err
	}
	broker, err := rabbitmq.Start(ctx, rabbitmq.Options{})
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, broker.Stop(context.WithoutCancel(ctx))) }()
	b.broker = broker.URI(rabbitmq.App)
	if b.gate, err = b.startGate(); err != nil {
		return cost, err
	}
	defer b.gate.stop()
	cost.Machine = report.Machine{Cores: runtime.NumCPU(), LoadBefore: loadAverage()}
	for _, part := range []func(context.Context, *report.GateCost) error{
		b.measureIdle, b.measureLatency, b.measureThroughput, b.measureLoaded,
	} {
		if err := part(ctx, &cost); err != nil {
			return cost, err
		}
	}
	cost.Machine.LoadAfter = loadAverage()
	return cost, nil
}

func (b *bench) measureIdle(ctx context.Context, cost *report.GateCost) (err error) {
	cost.IdleBytes, err = b.idle(ctx)
	return err
}

func (b *bench) measureLoaded(ctx context.Context, cost *report.GateCost) (err error) {
	b.Say("memory under load")
	cost.LoadedBytes, err = b.loaded(ctx)
	return err
}

func (b *bench) measureLatency(ctx context.Context, cost *report.GateCost) error {
	for i := range b.Rounds {
		b.Say("latency, round %d of %d", i+1, b.Rounds)
		var r report.LatencyRound
		err := alternate(i,
			func() (err error) { r.Direct, err = b.latency(ctx, b.broker); return err },
			func() (err error) { r.Gate, err = b.latency(ctx, b.gate.uri); return err })
		if err != nil {
			return err
		}
		cost.Latency = append(cost.Latency, r)
	}
	return nil
}

func (b *bench) measureThroughput(ctx context.Context, cost *report.GateCost) error {
	for _, size := range Sizes {
		s := report.Saturation{Size: size}
		for i := range b.Rounds {
			b.Say("throughput of %d-byte messages, round %d of %d", size, i+1, b.Rounds)
			var r report.ThroughputRound
			err := alternate(i,
				func() (err error) { r.Direct, _, err = b.throughput(ctx, b.broker, size); return err },
				func() (err error) { r.Gate, r.Used, err = b.throughputOfGate(ctx, size); return err })
			if err != nil {
				return err
			}
			s.Rounds = append(s.Rounds, r)
		}
		cost.Throughput = append(cost.Throughput, s)
	}
	return nil
}

// alternate which of the two comes first: what changes on the machine meanwhile falls to both.
func alternate(round int, direct, gate func() error) error {
	first, second := direct, gate
	if round%2 == 1 {
		first, second = gate, direct
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

// throughputOfGate, and what the gate's process used for each message.
func (b *bench) throughputOfGate(ctx context.Context, size int) (perSecond float64, used report.Usage, err error) {
	before, err := b.gate.usage(ctx)
	if err != nil {
		return 0, used, err
	}
	perSecond, messages, err := b.throughput(ctx, b.gate.uri, size)
	if err != nil {
		return 0, used, err
	}
	after, err := b.gate.usage(ctx)
	used.Allocations = (after.allocations - before.allocations) / float64(messages)
	used.CPUMicros = (after.cpuSeconds - before.cpuSeconds) * 1e6 / float64(messages)
	return perSecond, used, err
}

// loadAverage of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return fmt.Sprint(err)
	}
	return strings.Fields(string(text))[0]
}
