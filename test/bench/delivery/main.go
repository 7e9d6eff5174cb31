// Command delivery measures how a checkpoint gets from node to node: by the agents' stream, by the usual programs that
// copy files, and as an OCI image through a registry. All go over one link between two network namespaces, in one run.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		stop()
		os.Exit(1) //nolint:gocritic // stopped above
	}
}

func command() *cobra.Command {
	var out string
	var sizes []int
	var rounds int
	c := &cobra.Command{Use: "delivery", Short: "Measure deliveries of checkpoints", Args: cobra.NoArgs, SilenceUsage: true}
	c.Flags().StringVar(&out, "out", "out/bench-delivery.json", "file of the results")
	c.Flags().IntSliceVar(&sizes, "mebibytes", []int{16, 64, 256, 1024}, "sizes of the process's memory")
	c.Flags().IntVar(&rounds, "rounds", 3, "rounds, of which the median counts")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		b, err := setUp(c.Context())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.takeDown()) }()
		result := newResult()
		for _, size := range sizes {
			row, err := b.measure(c.Context(), size, rounds)
			if err != nil {
				return fmt.Errorf("measuring %d MiB: %w", size, err)
			}
			result.add(row)
			fmt.Println(row)
		}
		if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
			return err
		}
		fmt.Print(result.table())
		return result.write(out)
	}
	c.AddCommand(serveCommand(), registryCommand(), sendCommand(), pushCommand(), pullCommand())
	return c
}
