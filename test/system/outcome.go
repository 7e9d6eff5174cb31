package system

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/report"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
)

// margin is shown before and after a migration.
const margin = time.Second

// Outcome of a migration that succeeded, judged.
type Outcome struct {
	Migration *v1alpha1.Migration
	Verdict   judge.Verdict
	Result    report.Result
	Timeline  report.Timeline
}

// Judge judges the ledger as it is now, and puts the outcome of the migration together.
func (l *Ledger) Judge(ctx context.Context, m *v1alpha1.Migration) (*Outcome, error) {
	if m.Status.Phase != v1alpha1.PhaseSucceeded {
		return nil, fmt.Errorf("migration %s is %s: %s", m.Name, m.Status.Phase, m.Status.Message)
	}
	v, err := l.Verdict(ctx)
	if err != nil {
		return nil, err
	}
	o := &Outcome{Migration: m, Result: l.result(m), Timeline: l.timeline(m)}
	o.Judged(v)
	return o, nil
}

// Judged takes over a verdict, as a later one that covers more messages.
func (o *Outcome) Judged(v judge.Verdict) {
	o.Verdict = v
	r := &o.Result
	r.Published, r.Processed, r.StateEqual = v.Published, v.Processed, v.StateEqual
	r.Lost, r.Duplicated, r.Reordered = v.Lost, v.Duplicated, v.Reordered
	r.OutputsDuplicated, r.OutputsLost = v.OutputsDuplicated, v.OutputsLost+v.OutputsWrong
}

// WriteFiles writes the result and the picture beside it.
func (o *Outcome) WriteFiles(json string) error {
	if err := o.Result.WriteJSON(json); err != nil {
		return err
	}
	return o.Timeline.WriteFile(json[:len(json)-len(filepath.Ext(json))] + ".svg")
}

func (l *Ledger) result(m *v1alpha1.Migration) report.Result {
	st := m.Status
	checkpoint, handover := pauseWindows(st)
	millis := func(w report.Span) float64 {
		return float64(l.judge.Pause(w.From, w.To).Duration().Microseconds()) / 1000
	}
	r := report.Result{
		Strategy:     string(st.Strategy),
		TotalSeconds: st.CompletionTime.Sub(st.StartTime.Time).Seconds(),
		PauseMillis: report.PauseMillis{
			Checkpoint: millis(checkpoint), Handover: millis(handover),
			Longest: millis(report.Span{From: st.StartTime.Time, To: st.CompletionTime.Time}),
		},
		ArchiveBytes: uint64(st.Checkpoint.ArchiveBytes), Replayed: uint64(st.Replay.Replayed),
		Lambda: float64(st.Replay.LambdaMilli) / 1000, Mu: float64(st.Replay.MuMilli) / 1000,
	}
	for _, p := range phases(st) {
		r.Phases = append(r.Phases, report.Phase{Name: p.Name, Seconds: p.To.Sub(p.From).Seconds()})
	}
	return r
}

// pauseWindows are the two times in which the gates hold.
func pauseWindows(st v1alpha1.MigrationStatus) (checkpoint, handover report.Span) {
	checkpoint = report.Span{Name: "checkpoint", From: st.Cut.HeldSince.Time, To: st.Cut.Released.Time}
	handover = report.Span{Name: "hand-over", To: stepEnd(st, "activate target")}
	handover.From = handover.To
	if st.HandOverHeldSince != nil {
		handover.From = st.HandOverHeldSince.Time
	}
	return checkpoint, handover
}

// stepEnd is the end of the last step of the name.
func stepEnd(st v1alpha1.MigrationStatus, step string) time.Time {
	for _, t := range slices.Backward(st.Timeline) {
		if t.Step == step && t.End != nil {
			return t.End.Time
		}
	}
	return st.CompletionTime.Time
}

// phases puts the steps together to the phases of MS2M.
func phases(st v1alpha1.MigrationStatus) []report.Span {
	var all []report.Span
	for _, t := range st.Timeline {
		if t.End == nil || t.Undone {
			continue
		}
		name := string(t.Phase)
		if t.Phase == v1alpha1.PhasePending {
			name = "Scheduling"
		}
		if n := len(all); n > 0 && all[n-1].Name == name {
			all[n-1].To = t.End.Time
			continue
		}
		all = append(all, report.Span{Name: name, From: t.Start.Time, To: t.End.Time})
	}
	return all
}

func (l *Ledger) timeline(m *v1alpha1.Migration) report.Timeline {
	st := m.Status
	t := report.Timeline{
		Title: fmt.Sprintf("Live migration of %s from %s to %s", st.Source.Pod, st.Source.Node, st.Target.Node),
		Subtitle: fmt.Sprintf("%g messages/s, %d MiB of memory, %s a message, %d messages replayed",
			l.load.Rate, l.load.Ledger.Mebibytes, l.load.Ledger.Service, st.Replay.Replayed),
		Phases: phases(st),
	}
	for _, s := range l.sampler.between(st.StartTime.Add(-margin), st.CompletionTime.Add(margin)) {
		count := report.Count{At: s.At, Count: s.Count}
		switch s.Pod {
		case st.Source.UID:
			t.Source = append(t.Source, count)
		case st.Target.UID:
			t.Target = append(t.Target, count)
		}
	}
	checkpoint, handover := pauseWindows(st)
	for _, w := range []report.Span{checkpoint, handover} {
		if p := l.judge.Pause(w.From, w.To); p.Duration() > 0 {
			t.Pauses = append(t.Pauses, report.Span{Name: w.Name, From: p.From, To: p.To})
		}
	}
	return t
}
