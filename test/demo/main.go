// Command demo shows the main job end to end on a real cluster: a node is loaded, the descheduler decides to move a
// stateful consumer, the consumer is live-migrated instead of evicted, and its state is proved exact. It exits non-zero
// when it is not.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/report"
	"ms2m.dev/ms2m-descheduler/test/system"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

type options struct {
	rate      float64
	memory    int
	service   time.Duration
	producers int
	runs      int
	nodes     int
	out       string
}

func main() { system.Main(command()) }

func command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use: "demo", Short: "Live-migrate a stateful pod on a real cluster and prove its state exact",
		Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), o) },
	}
	f := c.Flags()
	f.Float64Var(&o.rate, "rate", 50, "messages per second")
	f.IntVar(&o.memory, "memory", 64, "MiB of memory that the consumer holds")
	f.DurationVar(&o.service, "service", 5*time.Millisecond, "service time of a message")
	f.IntVar(&o.producers, "producers", 1, "producers, each with a connection of its own")
	f.IntVar(&o.runs, "runs", 1, "migrations in a row; the first is the descheduler's, the others go back and forth")
	f.IntVar(&o.nodes, "nodes", 2, "nodes of the cluster, 2 to 4")
	f.StringVar(&o.out, "out", "out/demo.json", "file of the result; the picture goes beside it")
	return c
}

func run(ctx context.Context, o options) (err error) {
	if o.runs < 1 || o.nodes < 2 {
		return fmt.Errorf("at least one run and two nodes are needed, not %d and %d", o.runs, o.nodes)
	}
	s, err := system.Up(ctx, o.nodes, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Down(context.WithoutCancel(ctx))) }()
	ledger, err := s.StartLedger(ctx, system.Load{
		Ledger: deploy.Options{Mebibytes: o.memory, Service: o.service}, Rate: o.rate, Producers: o.producers,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Stop(context.WithoutCancel(ctx))) }()

	outcomes, err := migrations(ctx, s, ledger, o.runs)
	if err != nil {
		return err
	}
	return conclude(ctx, ledger, outcomes, o.out)
}

// migrations runs the descheduler's migration and then those that go back and forth.
func migrations(ctx context.Context, s *system.System, ledger *system.Ledger, runs int) ([]*system.Outcome, error) {
	m, err := byDescheduler(ctx, s, ledger)
	if err != nil {
		return nil, err
	}
	var outcomes []*system.Outcome
	for {
		outcome, err := ledger.Judge(ctx, m)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, outcome)
		ledger.Say("State equal: %t after %d messages, %d replayed, %.2f s in total, longest pause %.0f ms",
			outcome.Result.Exact(), outcome.Result.Processed, outcome.Result.Replayed, outcome.Result.TotalSeconds, outcome.Result.PauseMillis.Longest)
		if len(outcomes) == runs {
			return outcomes, nil
		}
		if m, err = ledger.Migrate(ctx); err != nil {
			return nil, err
		}
	}
}

// byDescheduler loads the consumer's node until LowNodeUtilization finds it too full.
func byDescheduler(ctx context.Context, s *system.System, ledger *system.Ledger) (*v1alpha1.Migration, error) {
	pod, err := ledger.AwaitActive(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Rebalance(ctx); err != nil {
		return nil, err
	}
	s.Say("Loading node %s, where the consumer %s runs", pod.Spec.NodeName, pod.Name)
	if err := s.Fill(ctx, pod.Spec.NodeName); err != nil {
		return nil, err
	}
	m, err := ledger.AwaitDescheduler(ctx, time.Minute)
	if err != nil {
		return nil, err
	}
	s.Say("The descheduler wants %s moved: %s", m.Spec.Pod.Name, m.Spec.Reason)
	if m, err = ledger.AwaitEnd(ctx, m.Name); err != nil {
		return nil, err
	}
	return m, errors.Join(s.StopRebalancing(ctx), s.Unfill(ctx))
}

// conclude judges everything to the last message, and writes and prints what came out.
func conclude(ctx context.Context, ledger *system.Ledger, outcomes []*system.Outcome, out string) error {
	last, err := ledger.Finish(ctx)
	if err != nil {
		return err
	}
	first := outcomes[0]
	if len(outcomes) == 1 {
		first.Judged(last)
	}
	if err := first.WriteFiles(out); err != nil {
		return err
	}
	if err := report.PrintTable(os.Stdout, first.Result); err != nil {
		return err
	}
	exact := last.Exact()
	if len(outcomes) > 1 {
		exact, err = summarize(outcomes, out, exact)
		if err != nil {
			return err
		}
	}
	ledger.Say("Wrote %s and the picture beside it", out)
	if !exact {
		return fmt.Errorf("the state is not what it would have been without the migration: %v", last.Reasons)
	}
	return nil
}

func summarize(outcomes []*system.Outcome, out string, exact bool) (bool, error) {
	var results []report.Result
	for _, o := range outcomes {
		results = append(results, o.Result)
		exact = exact && o.Result.Exact()
	}
	summary := report.Summarize(results)
	if err := summary.WriteJSON(out[:len(out)-len(".json")] + "-runs.json"); err != nil {
		return false, err
	}
	return exact, report.PrintSummary(os.Stdout, summary)
}
