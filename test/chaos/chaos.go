// Package chaos strikes migrations that are under way on a real cluster, at random from a seed, and checks after each that
// the promise held: the state that the messages demand, outputs published once, never two active instances, one pod left,
// and no queue, archive or ticket left behind.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/report"
	"ms2m.dev/ms2m-descheduler/test/system"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
)

// Options of a series of runs.
type Options struct {
	Runs int
	// Seed of the first run; each further one has the next. A run is repeated with its own seed and Runs 1.
	Seed uint64
	// Rate of messages per second, MiB of memory and service time of the app.
	Rate      float64
	Mebibytes int
	Service   time.Duration
	// Done is called after each run, with the report so far.
	Done func(report.Chaos) error
}

// phases in which a migration can be struck.
var phases = []v1alpha1.Phase{
	v1alpha1.PhasePending, v1alpha1.PhaseCheckpointing, v1alpha1.PhaseTransferring, v1alpha1.PhaseRestoring,
	v1alpha1.PhaseReplaying, v1alpha1.PhaseFinalizing,
}

// chance is all that a seed decides.
type chance struct {
	fault Fault
	phase v1alpha1.Phase
	// after the phase has begun, and how long the damage lasts.
	after, lasts time.Duration
}

func draw(seed uint64) chance {
	random := rand.New(rand.NewPCG(seed, 0))
	between := func(from, to time.Duration) time.Duration { return from + time.Duration(random.Int64N(int64(to-from))) }
	return chance{
		fault: Faults[random.IntN(len(Faults))], phase: phases[random.IntN(len(phases))],
		after: between(0, 500*time.Millisecond), lasts: between(time.Second, 15*time.Second),
	}
}

// Run the series. Violations are in the report; an error is what kept it from going on.
func Run(ctx context.Context, s *system.System, o Options) (all report.Chaos, err error) {
	c := &series{System: s, options: o}
	defer func() { err = errors.Join(err, c.bury(context.WithoutCancel(ctx))) }()
	all = report.Chaos{Seed: o.Seed}
	for i := range o.Runs {
		r, err := c.run(ctx, o.Seed+uint64(i))
		if err != nil {
			return all, err
		}
		all.Add(r)
		s.Say("Run %d of %d, seed %d: %s while %s: %s", i+1, o.Runs, r.Seed, r.Fault, r.Phase, r.Verdict())
		if o.Done != nil {
			if err := o.Done(all); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// series of runs on one ledger, until it has lost its state.
type series struct {
	*system.System
	options Options
	ledger  *system.Ledger
	count   int
}

// fresh ledger, unless the present one is sound.
func (c *series) fresh(ctx context.Context) (*system.Ledger, error) {
	if c.ledger != nil {
		return c.ledger, nil
	}
	c.count++
	l, err := c.StartLedger(ctx, system.Load{Rate: c.options.Rate, Ledger: deploy.Options{
		Namespace: fmt.Sprintf("chaos-%d", c.count), Mebibytes: c.options.Mebibytes, Service: c.options.Service,
	}})
	c.ledger = l
	return l, err
}

// bury the ledger.
func (c *series) bury(ctx context.Context) error {
	if c.ledger == nil {
		return nil
	}
	l := c.ledger
	c.ledger = nil
	return l.Stop(ctx)
}

// run one migration and strike it.
func (c *series) run(ctx context.Context, seed uint64) (report.ChaosRun, error) {
	chance := draw(seed)
	r := report.ChaosRun{Seed: seed, Fault: chance.fault.Name, Phase: string(chance.phase)}
	l, err := c.fresh(ctx)
	if err != nil {
		return r, err
	}
	before, err := l.Instance(ctx)
	if err != nil {
		return r, err
	}
	began := time.Now()
	m, err := l.BeginMigration(ctx)
	if err != nil {
		return r, err
	}
	if r.Struck, err = c.strike(ctx, m.Name, chance); err != nil {
		return r, err
	}
	m, err = l.AwaitEnd(ctx, m.Name)
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	r.Seconds, r.Outcome = time.Since(began).Seconds(), string(m.Status.Phase)
	if err != nil {
		r.Violate("the migration does not end: %v", err)
	}
	c.check(ctx, &r, before, chance.fault.Deadly)
	if r.Died || len(r.Violations) > 0 {
		return r, c.bury(ctx)
	}
	return r, nil
}

// strike the migration once it has come to the phase, and mend what does not mend itself. It tells whether it struck while
// the migration was under way.
func (c *series) strike(ctx context.Context, name string, by chance) (struck bool, err error) {
	m, err := c.ledger.AwaitMigration(ctx, name, string(by.phase), func(m *v1alpha1.Migration) bool {
		placed := m.Status.Source.Node != "" && (m.Status.Target.Node != "" || by.phase == v1alpha1.PhasePending)
		return m.Status.Phase == by.phase && placed || m.Status.Phase.Ended()
	})
	if err != nil || m.Status.Phase.Ended() {
		return false, err
	}
	if err := pass(ctx, by.after); err != nil {
		return false, err
	}
	if err := by.fault.Strike(ctx, c.System, m); err != nil {
		c.Say("Came too late or too early: %s", err)
		return false, context.Cause(ctx)
	}
	if by.fault.Mend == nil {
		return true, nil
	}
	err = pass(ctx, by.lasts)
	return true, errors.Join(err, by.fault.Mend(context.WithoutCancel(ctx), c.System, m))
}

// check that the promise held.
func (c *series) check(ctx context.Context, r *report.ChaosRun, before string, deadly bool) {
	if p := v1alpha1.Phase(r.Outcome); p != v1alpha1.PhaseSucceeded && p != v1alpha1.PhaseRolledBack {
		r.Violate("it ended as %s", p)
	}
	if err := c.ledger.AwaitOne(ctx); err != nil {
		r.Violate("%v", err)
		return
	}
	after, err := c.ledger.Instance(ctx)
	if err != nil {
		r.Violate("%v", err)
		return
	}
	if after != before && r.Struck && deadly {
		r.Died = true // its state cannot be what it was, and is not counted as equal
	} else if v, err := c.ledger.Verdict(ctx); err != nil {
		r.Violate("%v", err)
	} else if !v.Exact() {
		r.Violate("%+v", v)
	}
	if err := c.Leftovers(ctx); err != nil {
		r.Violate("%v", err)
	}
}

// pass lets some time pass.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
