package system

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// Main runs a command that uses a System, and ends the process. Ctrl-C ends the command's context, so that it takes away
// what it has started.
func Main(c *cobra.Command) {
	// What a person reads is told by Say; the workload's and the client's own logs are for when something goes wrong.
	slog.SetLogLoggerLevel(slog.LevelWarn)
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}
