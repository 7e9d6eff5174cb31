package system

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
)

// migrationBound is how long a migration may take before a test calls it stuck: more than the default deadline and the
// roll back after it.
const migrationBound = 4 * time.Minute

// Migrate moves the active instance, to any other node, and waits for the end.
func (l *Ledger) Migrate(ctx context.Context, change ...func(*v1alpha1.MigrationSpec)) (*v1alpha1.Migration, error) {
	m, err := l.BeginMigration(ctx, change...)
	if err != nil {
		return nil, err
	}
	return l.AwaitEnd(ctx, m.Name)
}

// BeginMigration asks for a migration of the active instance.
func (l *Ledger) BeginMigration(ctx context.Context, change ...func(*v1alpha1.MigrationSpec)) (*v1alpha1.Migration, error) {
	pod, err := l.AwaitActive(ctx)
	if err != nil {
		return nil, err
	}
	m := &v1alpha1.Migration{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, GenerateName: "move-"},
		Spec:       v1alpha1.MigrationSpec{Pod: v1alpha1.PodReference{Name: pod.Name, UID: pod.UID}, Reason: "Manual"},
	}
	for _, c := range change {
		c(&m.Spec)
	}
	if err := l.API.Create(ctx, m); err != nil {
		return nil, fmt.Errorf("creating migration: %w", err)
	}
	return m, nil
}

// AwaitEnd waits until a migration has ended, telling its phases as they come.
func (l *Ledger) AwaitEnd(ctx context.Context, name string) (*v1alpha1.Migration, error) {
	return l.AwaitMigration(ctx, name, "its end", func(m *v1alpha1.Migration) bool { return m.Status.Phase.Ended() })
}

// AwaitMigration waits until a migration is as wanted.
func (l *Ledger) AwaitMigration(ctx context.Context, name, what string, wanted func(*v1alpha1.Migration) bool) (*v1alpha1.Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, migrationBound)
	defer cancel()
	w, err := l.API.Watch(ctx, &v1alpha1.MigrationList{}, client.InNamespace(l.load.Ledger.Namespace), client.MatchingFields{"metadata.name": name})
	if err != nil {
		return nil, fmt.Errorf("watching migration %s: %w", name, err)
	}
	defer w.Stop()
	var last v1alpha1.Migration
	for e := range w.ResultChan() {
		m, ok := e.Object.(*v1alpha1.Migration)
		if !ok {
			continue
		}
		if m.Status.Phase != last.Status.Phase || (m.Status.Message != last.Status.Message && m.Status.Message != "") {
			l.Say("Migration %s: %-13s %s", name, m.Status.Phase, m.Status.Message)
		}
		last = *m
		if wanted(m) {
			return m, nil
		}
	}
	return &last, fmt.Errorf("awaiting %s of migration %s: %w; it is %s: %s", what, name, context.Cause(ctx), last.Status.Phase, last.Status.Message)
}

// AwaitDescheduler waits for a migration that nobody but the descheduler asked for.
func (l *Ledger) AwaitDescheduler(ctx context.Context, atMost time.Duration) (*v1alpha1.Migration, error) {
	var found *v1alpha1.Migration
	err := l.await(ctx, "a migration by the descheduler", atMost, func(ctx context.Context) (bool, string, error) {
		all := &v1alpha1.MigrationList{}
		if err := l.API.List(ctx, all, client.InNamespace(l.load.Ledger.Namespace)); err != nil {
			return false, "", err
		}
		for i, m := range all.Items {
			if !m.Status.Phase.Ended() {
				found = &all.Items[i]
				return true, "", nil
			}
		}
		return false, "there is none", nil
	})
	return found, err
}
