package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ms2m.dev/ms2m-descheduler/test/bench/gate"
)

func gateCommand() *cobra.Command {
	o := gate.Options{Say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	var out string
	c := &cobra.Command{
		Use: "gate", Short: "Measure what the gate costs, against a direct connection to a real broker",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cost, err := gate.Measure(c.Context(), o)
			if err != nil {
				return err
			}
			return errors.Join(cost.Print(os.Stdout), cost.WriteJSON(out+".json"), cost.WriteFile(out+".svg"))
		},
	}
	f := c.Flags()
	f.IntVar(&o.Rounds, "rounds", 6, "rounds of each kind, each direct and through the gate")
	f.DurationVar(&o.Round, "round", 5*time.Second, "how long each is measured")
	f.DurationVar(&o.WarmUp, "warm-up", time.Second, "how long it runs before that")
	f.StringVar(&out, "out", "out/bench-gate", "files of the result and the picture, without .json and .svg")
	return c
}
