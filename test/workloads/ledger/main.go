// Command ledger is the deterministic workload of the tests: `ledger consume` is a stateful service, unaware of
// migration, and `ledger produce` feeds it and judges whether its state is exact.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

func main() {
	root := &cobra.Command{
		Use:           "ledger",
		Short:         "A deterministic AMQP workload and its judge",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(consumeCommand(), produceCommand())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

// connection is what both commands are told of the broker.
type connection struct {
	broker string
	queues wire.Queues
}

func (c *connection) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&c.broker, "broker", os.Getenv(wire.EnvBroker), "AMQP URI of the broker (default $"+wire.EnvBroker+")")
	flags.StringVar(&c.queues.In, "in", wire.QueueIn, "queue of the messages")
	flags.StringVar(&c.queues.Out, "out", wire.QueueOut, "queue of the outputs")
	flags.StringVar(&c.queues.Type, "queue-type", "classic", "type of both queues: classic or quorum")
	// The default may hold a password, which help must not show.
	flags.Lookup("broker").DefValue = ""
}

func (c *connection) check() error {
	if c.broker == "" {
		return errors.New("checking flags: no broker: give --broker or set " + wire.EnvBroker + " to an AMQP URI")
	}
	if _, err := amqp.ParseURI(c.broker); err != nil {
		// The parser's error would show the password.
		return errors.New("checking flags: the broker's URI is malformed; it should read amqp://USER:PASSWORD@HOST:5672/VHOST")
	}
	if c.queues.Type != "classic" && c.queues.Type != "quorum" {
		return fmt.Errorf("checking flags: --queue-type %q is neither classic nor quorum", c.queues.Type)
	}
	return nil
}
