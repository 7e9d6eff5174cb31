package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/producer"
)

var errNotExact = errors.New("the ledger is not exact")

func produceCommand() *cobra.Command {
	var (
		conn    connection
		options producer.Options
		ledger  string
		drain   time.Duration
	)
	command := &cobra.Command{
		Use:   "produce",
		Short: "Send messages, then judge the ledger's state and outputs",
		Long: "Send messages until the count is reached or the process is interrupted. With --ledger, consume the outputs\n" +
			"meanwhile and judge at the end: the verdict is printed as JSON, and the exit code is 1 when it is not exact.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := conn.check(); err != nil {
				return err
			}
			options.Broker, options.Queues = conn.broker, conn.queues
			group, err := producer.New(options)
			if err != nil {
				return err
			}
			if ledger == "" {
				return produce(command.Context(), group)
			}
			return produceAndJudge(command.Context(), group, options, ledger, drain, command.OutOrStdout())
		},
	}
	conn.addFlags(command)
	flags := command.Flags()
	flags.IntVar(&options.Producers, "producers", 1, "producers, each with a connection of its own")
	flags.Float64Var(&options.Rate, "rate", 50, "messages per second of all together")
	flags.StringVar((*string)(&options.Arrivals), "arrivals", string(producer.Constant), "constant or poisson")
	flags.IntVar(&options.Count, "count", 0, "messages of all together; 0: until interrupted")
	flags.IntVar(&options.PayloadBytes, "payload", 64, "bytes of payload in each message")
	flags.StringVar(&ledger, "ledger", "", "base URL of the consumer, such as http://10.0.0.7:8080; judge its state at the end")
	flags.DurationVar(&drain, "drain", time.Minute, "how long the consumer may take for the last messages")
	return command
}

// produce sends until the count is reached or ctx ends; what has been sent is confirmed in either case.
func produce(ctx context.Context, group *producer.Group) error {
	stop := context.AfterFunc(ctx, group.Stop)
	defer stop()
	if err := group.Run(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	return nil
}

func produceAndJudge(ctx context.Context, group *producer.Group, options producer.Options, ledger string,
	drain time.Duration, out io.Writer,
) error {
	state := func(ctx context.Context) (chain.State, error) { return judge.FetchState(ctx, ledger, true) }
	base, err := state(ctx)
	if err != nil {
		return fmt.Errorf("reading the ledger's state: %w", err)
	}
	j := judge.New(judge.Options{
		Broker: options.Broker, Queues: options.Queues, Accounts: group.Accounts, State: state, Base: base,
	})
	judging, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	go func() { _ = j.Run(judging) }() // ends with judging
	from := time.Now()
	if err := produce(ctx, group); err != nil {
		return err
	}
	draining, cancel := context.WithTimeout(judging, drain)
	defer cancel()
	verdict, err := j.Verdict(draining)
	if err != nil {
		return fmt.Errorf("judging: %w", err)
	}
	return report(out, verdict, j.Pause(from, time.Now()))
}

func report(out io.Writer, verdict judge.Verdict, pause judge.Pause) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(struct {
		judge.Verdict
		LongestPauseMillis float64 `json:"longestPauseMillis"`
	}{verdict, float64(pause.Duration().Microseconds()) / 1000})
	if err != nil {
		return fmt.Errorf("writing the verdict: %w", err)
	}
	if !verdict.Exact() {
		return errNotExact
	}
	return nil
}
