package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/pkg/migrate"
	"ms2m.dev/ms2m-descheduler/pkg/plugin"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/migratefromdrainednodes"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/migrateunderload"
	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
	"ms2m.dev/ms2m-descheduler/pkg/policy"
	"ms2m.dev/ms2m-descheduler/pkg/webhook"
)

// One lease covers the migration controller and the descheduler. It is short, because a migration waits while nobody
// leads; upstream's two minutes protect against two deschedulers at once, which do no harm here: both would ask for
// Migrations of the same names.
const (
	leaseName     = "ms2m-controller"
	leaseDuration = 4 * time.Second
	renewDeadline = 3 * time.Second
	retryPeriod   = time.Second
)

// run is the program, until ctx ends or leadership is lost.
func run(ctx context.Context, o *options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS, config.Burst = o.qps, o.burst
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the client of the API server: %w", err)
	}
	defer o.tracing.Start(ctx)()

	certificates := &certificates{client: clientset, namespace: o.namespace, now: time.Now}
	if err := awaitCertificates(ctx, certificates); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, managerOptions(o, certificates))
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	webhook.Register(mgr, o.gateImage, func(ctx context.Context, namespace string, pod *corev1.Pod) error {
		return migrate.Steer(ctx, mgr.GetAPIReader(), namespace, pod)
	})
	if err := addServers(mgr, o, certificates); err != nil {
		return err
	}
	index, err := addMoves(ctx, mgr)
	if err != nil {
		return err
	}
	if err := addDescheduler(mgr, o, clientset, index); err != nil {
		return err
	}
	if err := addMigrationController(mgr, o, clientset, certificates, index); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running: %w", err)
	}
	return nil
}

// awaitCertificates retries: at the installation, roles and configurations appear in any order.
func awaitCertificates(ctx context.Context, c *certificates) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, time.Minute, true, func(ctx context.Context) (bool, error) {
		if last = c.ensure(ctx); last != nil {
			slog.WarnContext(ctx, "Certificates are not ready, trying again", "error", last)
		}
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("preparing certificates: %w", last)
	}
	return err
}

func managerOptions(o *options, certificates *certificates) ctrl.Options {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // the types are compiled in
		}
	}
	migratable := labels.NewSelector()
	if r, err := labels.NewRequirement(v1alpha1.LabelMigratable, "exists", nil); err == nil {
		migratable = migratable.Add(*r)
	}
	return ctrl.Options{
		Scheme: scheme,
		// The descheduler has informers of its own for all pods.
		Cache: cache.Options{
			ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Label: migratable}},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 ptr.To(leaseDuration),
		RenewDeadline:                 ptr.To(renewDeadline),
		RetryPeriod:                   ptr.To(retryPeriod),
		HealthProbeBindAddress:        o.healthAddr,
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // metricsServer serves them
		WebhookServer: ctrlwebhook.NewServer(ctrlwebhook.Options{
			Port:    o.webhookPort,
			TLSOpts: []func(*tls.Config){certificates.webhookTLS},
		}),
	}
}

func addServers(mgr ctrl.Manager, o *options, certificates *certificates) error {
	if err := mgr.Add(certificates); err != nil {
		return fmt.Errorf("adding the certificates: %w", err)
	}
	if o.metricsAddr != "" {
		server, err := metricsServer(o.metricsAddr)
		if err != nil {
			return err
		}
		if err := mgr.Add(server); err != nil {
			return fmt.Errorf("adding the metrics server: %w", err)
		}
	}
	if err := mgr.AddHealthzCheck("alive", healthz.Ping); err != nil {
		return fmt.Errorf("adding the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("webhook", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return fmt.Errorf("adding the readiness check: %w", err)
	}
	return nil
}

// addMoves adds the view of Migrations.
func addMoves(ctx context.Context, mgr ctrl.Manager) (*moves.Index, error) {
	index := moves.NewIndex()
	informer, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.Migration{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching Migrations (is their CustomResourceDefinition installed?): %w", err)
	}
	if _, err := informer.AddEventHandler(index); err != nil {
		return nil, fmt.Errorf("watching Migrations: %w", err)
	}
	return index, nil
}

// addDescheduler adds what leads the descheduler: the policy and the loop.
func addDescheduler(mgr ctrl.Manager, o *options, clientset kubernetes.Interface, index *moves.Index) error {
	// Creates Migrations and reads those that the cache does not have yet.
	live, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("making the client of Migrations: %w", err)
	}
	metrics, err := metricsclient.NewForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("making the client of the metrics API: %w", err)
	}
	recorder := mgr.GetEventRecorder("ms2m-descheduler")

	plugin.Register(index, migratefromdrainednodes.Register(index, recorder), migrateunderload.Register(index, recorder))
	descheduler := &plugin.Descheduler{
		Client:    clientset,
		Metrics:   metrics,
		Requester: moves.Requester{Client: live, Index: index, Events: recorder, Clock: clock.RealClock{}},
	}
	watcher := policy.NewWatcher(clientset, recorder, o.namespace, o.policyConfigMap, plugin.Check(clientset))
	if err := mgr.Add(watcher); err != nil {
		return fmt.Errorf("adding the policy: %w", err)
	}
	if err := mgr.Add(&plugin.Loop{InForce: watcher.InForce(), Run: descheduler.Run}); err != nil {
		return fmt.Errorf("adding the descheduler: %w", err)
	}
	return plugin.SetupMarks(mgr)
}
