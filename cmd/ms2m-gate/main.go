// Command ms2m-gate is the AMQP gate beside an app; see package pkg/gate.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "ms2m-gate",
		Short:         "Transparent AMQP 0-9-1 proxy that lets an app be migrated between two messages",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), waitCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "ms2m-gate:", err)
		os.Exit(1)
	}
}
