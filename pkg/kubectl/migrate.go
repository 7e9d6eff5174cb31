package kubectl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// reasonManual tells that a person asked for the migration.
const reasonManual = "Manual"

type migrateOptions struct {
	to       string
	maxPause time.Duration
	watch    bool
	output   output
}

func (t *tool) migrate() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate POD",
		Short: "Migrate a pod live to another node",
		Example: `  # To the node that suits best, following it to its end
  kubectl ms2m migrate cart-0 --watch
  # To a certain node
  kubectl ms2m migrate cart-0 --to node2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return t.runMigrate(cmd.Context(), args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "Node to migrate to; default: the one that suits best.")
	cmd.Flags().DurationVar(&o.maxPause, "max-pause", 0, "Longest pause at the hand-over; default 1s.")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "Follow the migration, and fail unless it succeeds.")
	o.output.addFlag(cmd.Flags())
	return cmd
}

func (t *tool) runMigrate(ctx context.Context, name string, o migrateOptions) error {
	if o.watch && (o.output == asJSON || o.output == asYAML) {
		return fmt.Errorf("--watch tells of phases in lines for people: leave out -o %s", o.output)
	}
	api, namespace, err := t.cluster()
	if err != nil {
		return err
	}
	pod := &corev1.Pod{}
	if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, pod); err != nil {
		return fmt.Errorf("reading the pod: %w", err)
	}
	m := &v1alpha1.Migration{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: name + "-"},
		Spec: v1alpha1.MigrationSpec{
			Pod: v1alpha1.PodReference{Name: name, UID: pod.UID}, TargetNode: o.to, MaxPause: metav1.Duration{Duration: o.maxPause}, Reason: reasonManual,
		},
	}
	if err := api.Create(ctx, m); err != nil {
		return fmt.Errorf("asking for the migration: %w", err)
	}
	switch o.output {
	case asName:
		t.say("migration.ms2m.dev/%s", m.Name)
	case forPeople:
		t.say("migration.ms2m.dev/%s created", m.Name)
	default:
		if err := t.structured(o.output, complete(m)); err != nil {
			return err
		}
	}
	if !o.watch {
		return nil
	}
	return t.follow(ctx, api, m)
}

// follow tells of each phase as it comes. Only a migration that succeeds is no error.
func (t *tool) follow(ctx context.Context, api client.WithWatch, m *v1alpha1.Migration) error {
	told := v1alpha1.MigrationStatus{}
	for ctx.Err() == nil {
		w, err := api.Watch(ctx, &v1alpha1.MigrationList{}, client.InNamespace(m.Namespace), client.MatchingFields{"metadata.name": m.Name})
		if err != nil {
			return fmt.Errorf("following migration %s: %w", m.Name, err)
		}
		for e := range w.ResultChan() {
			now, ok := e.Object.(*v1alpha1.Migration)
			if !ok {
				continue
			}
			if s := now.Status; s.Phase != told.Phase || (s.Message != told.Message && s.Message != "") {
				told = s
				t.say("%-13s %s", s.Phase, s.Message)
			}
			if now.Status.Phase.Ended() {
				w.Stop()
				return outcome(now)
			}
		}
	}
	return fmt.Errorf("following migration %s: %w; it goes on", m.Name, ctx.Err())
}

func outcome(m *v1alpha1.Migration) error {
	if m.Status.Phase == v1alpha1.PhaseSucceeded {
		return nil
	}
	return fmt.Errorf("migration %s ended as %s: %s", m.Name, m.Status.Phase, m.Status.Message)
}
