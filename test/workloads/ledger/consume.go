package main

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/consumer"
)

// headroomMebibytes beside the ballast. Garbage may otherwise grow to the ballast's size before it is collected.
const headroomMebibytes = 32

func consumeCommand() *cobra.Command {
	var (
		conn    connection
		options consumer.Options
		listen  string
	)
	command := &cobra.Command{
		Use:   "consume",
		Short: "Apply every message to the ledger, publish one output for each, serve the state over HTTP",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := conn.check(); err != nil {
				return err
			}
			options.Broker, options.Queues = conn.broker, conn.queues
			debug.SetMemoryLimit(int64(options.Mebibytes+headroomMebibytes) << 20)
			return consume(command.Context(), consumer.New(options), listen)
		},
	}
	conn.addFlags(command)
	flags := command.Flags()
	flags.IntVar(&options.Prefetch, "prefetch", 20, "unacknowledged messages that the broker may send ahead")
	flags.DurationVar(&options.Service, "service", 5*time.Millisecond, "time that each message takes")
	flags.IntVar(&options.Mebibytes, "memory", 0, "MiB of memory to hold besides")
	flags.StringVar(&listen, "listen", ":8080", "address of the HTTP server")
	return command
}

// consume runs until a signal ends it, at once and with success: what is not acknowledged stays in the queue.
func consume(ctx context.Context, c *consumer.Consumer, listen string) error {
	all, running := errgroup.WithContext(ctx)
	all.Go(func() error { return c.Run(running) })
	all.Go(func() error { return c.Serve(running, listen) })
	done := make(chan error, 1)
	go func() { done <- all.Wait() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-done:
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
}
