package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/report"
	"ms2m.dev/ms2m-descheduler/test/system"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

// migrationOptions of migrations back and forth between the nodes while the producer never stops, every run judged and
// kept. The command fails when a state is not exact.
type migrationOptions struct {
	rates   []float64
	memory  int
	service time.Duration
	runs    int
	out     string
}

func migrationsCommand() *cobra.Command {
	var o migrationOptions
	c := &cobra.Command{
		Use: "migrations", Short: "Measure migrations under several loads on a real cluster",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runMigrations(c.Context(), o) },
	}
	f := c.Flags()
	f.Float64SliceVar(&o.rates, "rates", []float64{5, 50, 150}, "messages per second, one load each")
	f.IntVar(&o.memory, "memory", 64, "MiB of memory that the consumer holds")
	f.DurationVar(&o.service, "service", 5*time.Millisecond, "service time of a message")
	f.IntVar(&o.runs, "runs", 20, "migrations in a row under each load")
	f.StringVar(&o.out, "out", "out/bench", "files of the result and the picture, without .json and .svg")
	return c
}

func runMigrations(ctx context.Context, o migrationOptions) (err error) {
	s, err := system.Up(ctx, 2, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Down(context.WithoutCancel(ctx))) }()
	comparison := report.Comparison{Title: fmt.Sprintf("Live migrations, %d MiB, %s a message", o.memory, o.service)}
	var wrong error
	for _, rate := range o.rates {
		l, err := measure(ctx, s, o, rate)
		if len(l.Runs) > 0 {
			comparison.Series = append(comparison.Series, l)
		}
		wrong = errors.Join(wrong, err)
	}
	return errors.Join(wrong, conclude(comparison, o.out))
}

// measure keeps the runs that it has when one fails.
func measure(ctx context.Context, s *system.System, o migrationOptions, rate float64) (l report.Load, err error) {
	l = report.Load{Rate: rate, MemoryMiB: o.memory, ServiceMillis: float64(o.service.Microseconds()) / 1000}
	ledger, err := s.StartLedger(ctx, system.Load{Rate: rate, Ledger: deploy.Options{Mebibytes: o.memory, Service: o.service}})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, ledger.Stop(context.WithoutCancel(ctx))) }()
	var results []report.Result
	defer func() { l.Summary = report.Summarize(results) }()
	for range o.runs {
		m, err := ledger.Migrate(ctx)
		if err != nil {
			return l, err
		}
		outcome, err := ledger.Judge(ctx, m)
		if err != nil {
			return l, err
		}
		results = append(results, outcome.Result)
		if !outcome.Result.Exact() {
			return l, fmt.Errorf("at %g messages per second the state is not exact: %v", rate, outcome.Verdict.Reasons)
		}
	}
	last, err := ledger.Finish(ctx)
	if err == nil && !last.Undisturbed() {
		err = fmt.Errorf("at %g messages per second the state is not exact in the end: %+v", rate, last)
	}
	return l, err
}

func conclude(c report.Comparison, out string) error {
	for _, l := range c.Series {
		fmt.Printf("\n%g messages per second\n", l.Rate)
		if err := report.PrintSummary(os.Stdout, l.Summary); err != nil {
			return err
		}
	}
	return errors.Join(c.WriteJSON(out+".json"), c.WriteFile(out+".svg"))
}
