package kubectl

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

type statusOptions struct {
	all    bool
	output output
}

func (t *tool) status() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status [MIGRATION]",
		Short: "Show migrations, or the steps of one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return t.showOne(cmd.Context(), args[0], o)
			}
			return t.showAll(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "Migrations of all namespaces.")
	o.output.addFlag(cmd.Flags())
	return cmd
}

func (t *tool) showAll(ctx context.Context, o statusOptions) error {
	api, namespace, err := t.cluster()
	if err != nil {
		return err
	}
	if o.all {
		namespace = ""
	}
	list := &v1alpha1.MigrationList{}
	if err := api.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing migrations: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.Migration) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	switch {
	case o.output == asName:
		for _, m := range list.Items {
			t.say("migration.ms2m.dev/%s", m.Name)
		}
		return nil
	case o.output != forPeople:
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("MigrationList"))
		for i := range list.Items {
			complete(&list.Items[i])
		}
		return t.structured(o.output, list)
	case len(list.Items) == 0:
		t.say("There are no migrations.")
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAMESPACE\tNAME\tPOD\tPHASE\tFROM\tTO\tPAUSE\tAGE\tMESSAGE")
	for _, m := range list.Items {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Namespace, m.Name, m.Spec.Pod.Name, m.Status.Phase,
			m.Status.Source.Node, m.Status.Target.Node, pause(&m), duration.HumanDuration(time.Since(m.CreationTimestamp.Time)), m.Status.Message)
	}
	return w.Flush()
}

func (t *tool) showOne(ctx context.Context, name string, o statusOptions) error {
	api, namespace, err := t.cluster()
	if err != nil {
		return err
	}
	m := &v1alpha1.Migration{}
	if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, m); err != nil {
		return fmt.Errorf("reading the migration: %w", err)
	}
	switch o.output {
	case asName:
		t.say("migration.ms2m.dev/%s", m.Name)
		return nil
	case asJSON, asYAML:
		return t.structured(o.output, complete(m))
	case forPeople:
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 3, ' ', 0)
	for _, line := range [][2]string{
		{"Pod", m.Spec.Pod.Name}, {"Phase", string(m.Status.Phase)}, {"Message", m.Status.Message}, {"Asked for by", m.Spec.Reason},
		{"From", m.Status.Source.Node}, {"To", m.Status.Target.Node}, {"Pause", pause(m)},
	} {
		if line[1] != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
		}
	}
	if r := m.Status.Replay; r != nil {
		_, _ = fmt.Fprintf(w, "Replayed\t%d of %d messages\n", r.Replayed, r.Logged)
	}
	for _, s := range m.Status.Timeline {
		_, _ = fmt.Fprintf(w, "  %s\t%s\n", title(s), took(s))
	}
	return w.Flush()
}

func pause(m *v1alpha1.Migration) string {
	if m.Status.PauseMillis == 0 {
		return ""
	}
	return (time.Duration(m.Status.PauseMillis) * time.Millisecond).String()
}

func title(s v1alpha1.StepTime) string {
	if s.Undone {
		return "undo " + s.Step
	}
	return s.Step
}

func took(s v1alpha1.StepTime) string {
	if s.End == nil {
		return "since " + duration.HumanDuration(time.Since(s.Start.Time))
	}
	return s.End.Sub(s.Start.Time).Round(time.Millisecond).String()
}
