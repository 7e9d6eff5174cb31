package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
)

// retry between two attempts to reach the gate.
const retry = 10 * time.Millisecond

func waitCommand() *cobra.Command {
	var address string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "wait",
		Short: "Return when the gate listens, so that the app never meets a closed port",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			if err := await(ctx, address); err != nil {
				return fmt.Errorf("the gate does not listen on %s after %s (see the log of container ms2m-gate): %w", address, timeout, err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&address, "address", "127.0.0.1:45672", "address the gate listens on")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait")
	return c
}

// await a listener.
func await(ctx context.Context, address string) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retry):
		}
	}
}
