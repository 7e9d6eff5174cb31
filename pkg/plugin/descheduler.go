package plugin

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/featuregate"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"
	"sigs.k8s.io/descheduler/cmd/descheduler/app/options"
	"sigs.k8s.io/descheduler/pkg/api"
	"sigs.k8s.io/descheduler/pkg/descheduler"
	eutils "sigs.k8s.io/descheduler/pkg/descheduler/evictions/utils"
	"sigs.k8s.io/descheduler/pkg/features"

	"ms2m.dev/ms2m-descheduler/pkg/plugin/moves"
	"ms2m.dev/ms2m-descheduler/pkg/policy"
)

// Descheduler runs one policy at a time.
type Descheduler struct {
	Client kubernetes.Interface
	// Metrics is asked only for policies that use the metrics API; nil: there is none.
	Metrics metricsclient.Interface
	// Requester of Migrations; its policy is replaced by that of each run.
	Requester moves.Requester
}

// Run deschedules in cycles, as p says, until ctx ends. Register comes first.
func (d *Descheduler) Run(ctx context.Context, p *policy.Policy) error {
	requester := d.Requester
	requester.Policy = p.Migration
	client := &migratingClient{Interface: d.Client, requester: &requester}

	deschedulerPolicy, err := load(p.Descheduler, client)
	if err != nil {
		return err
	}
	version, err := eutils.SupportEviction(client)
	if err != nil {
		return fmt.Errorf("asking the API server for its eviction API: %w", err)
	}
	if version == "" {
		return errors.New("asking the API server for its eviction API: it has none")
	}
	server, err := options.NewDeschedulerServer()
	if err != nil {
		return fmt.Errorf("setting up the descheduler: %w", err)
	}
	if server.DefaultFeatureGates, err = backgroundEvictions(); err != nil {
		return err
	}
	server.Client, server.EventClient = client, client
	if usesMetricsAPI(deschedulerPolicy) {
		server.MetricsClient = d.Metrics
	}
	server.DeschedulingInterval = p.Migration.Interval.Duration
	server.DryRun = p.Migration.DryRun
	if err := descheduler.RunDeschedulerStrategies(ctx, server, deschedulerPolicy, version); err != nil {
		return fmt.Errorf("running the descheduler: %w", err)
	}
	return nil
}

// backgroundEvictions are the descheduler's feature gates with the one on by which migrations are accounted for.
func backgroundEvictions() (featuregate.FeatureGate, error) {
	gates := features.DefaultMutableFeatureGate.DeepCopy()
	if err := gates.SetFromMap(map[string]bool{string(features.EvictionsInBackground): true}); err != nil {
		return nil, fmt.Errorf("enabling %s: %w", features.EvictionsInBackground, err)
	}
	return gates, nil
}

func usesMetricsAPI(p *api.DeschedulerPolicy) bool {
	if p.MetricsCollector != nil && p.MetricsCollector.Enabled {
		return true
	}
	for _, provider := range p.MetricsProviders {
		if provider.Source == api.KubernetesMetrics {
			return true
		}
	}
	return false
}
