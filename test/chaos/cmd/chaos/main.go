// Command chaos strikes migrations on a real cluster at random and checks that nothing is lost. It exits non-zero when
// something is.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/chaos"
	"ms2m.dev/ms2m-descheduler/test/report"
	"ms2m.dev/ms2m-descheduler/test/system"
)

func main() {
	var o chaos.Options
	var out string
	c := &cobra.Command{
		Use: "chaos", Short: "Strike migrations on a real cluster and check that the promise holds",
		Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("seed") {
				o.Seed = uint64(rand.Uint32())
			}
			return run(c.Context(), o, out)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Runs, "runs", 200, "migrations to strike")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of the first run; each further one has the next (default random)")
	f.Float64Var(&o.Rate, "rate", 50, "messages per second")
	f.IntVar(&o.Mebibytes, "memory", 64, "MiB of memory that the app holds")
	f.DurationVar(&o.Service, "service", 5*time.Millisecond, "service time of a message")
	f.StringVar(&out, "out", "out/chaos", "files of the report and the picture, without .json and .svg")
	system.Main(c)
}

func run(ctx context.Context, o chaos.Options, out string) (err error) {
	s, err := system.Up(ctx, 2, os.Stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Down(context.WithoutCancel(ctx))) }()
	// What was found is kept, however the series ends.
	o.Done = func(all report.Chaos) error {
		return errors.Join(all.WriteJSON(out+".json"), all.WriteFile(out+".svg"))
	}
	all, err := chaos.Run(ctx, s, o)
	fmt.Printf("\n%s\n", all)
	if err == nil && all.Violations > 0 {
		err = fmt.Errorf("%d of %d runs violated the promise", all.Violations, all.Runs)
	}
	return err
}
