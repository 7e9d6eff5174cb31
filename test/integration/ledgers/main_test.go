//go:build integration

// Package ledgers holds the ledgers of all languages to what test/workloads/ledger/README.md says that each does,
// without Kubernetes: against a real broker, as their images run them.
package ledgers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"ms2m.dev/ms2m-descheduler/test/broker"
	"ms2m.dev/ms2m-descheduler/test/cluster"
	"ms2m.dev/ms2m-descheduler/test/cluster/build"
)

var (
	rabbitmq *broker.Broker
	// programs are the ledgers as they lie in their image, root what they run in.
	programs, root string
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testing the ledgers:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) (code int, err error) {
	cache, err := build.DefaultCache()
	if err != nil {
		return 1, err
	}
	project, err := cluster.ProjectRoot()
	if err != nil {
		return 1, err
	}
	if programs, root, err = build.LedgerPrograms(ctx, cache, project, build.NewProgress(os.Stderr)); err != nil {
		return 1, err
	}
	if rabbitmq, err = broker.Start(ctx, broker.Options{}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, rabbitmq.Stop(context.WithoutCancel(ctx))) }()
	return m.Run(), nil
}
