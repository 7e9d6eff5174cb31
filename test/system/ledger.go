package system

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/cluster"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/chain"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/deploy"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/producer"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/wire"
)

// Load of a ledger.
type Load struct {
	// Ledger as it is deployed.
	Ledger deploy.Options
	// Bare deploys a bare pod instead of a Deployment.
	Bare bool
	// Replicas deploys a StatefulSet of so many pods instead of a Deployment; see StartSet.
	Replicas int32
	// Rate of all producers together, messages per second.
	Rate float64
	// Producers, default 1.
	Producers int
	// Arrivals, default constant.
	Arrivals producer.Arrivals
}

// Ledger at work: deployed, fed and judged.
type Ledger struct {
	*System
	load Load
	// pod is the name of the pod of a StatefulSet; empty for other ledgers, which have one instance.
	pod       string
	producers *producer.Group
	judge     *judge.Judge
	sampler   *sampler
	guard     *guard
	stop      context.CancelFunc
	done      chan error
}

// StartLedger deploys a ledger and starts to feed it. Stop ends it.
func (s *System) StartLedger(ctx context.Context, load Load) (*Ledger, error) {
	all, err := s.StartSet(ctx, load)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// StartSet deploys ledgers and feeds each: one, or those of a StatefulSet. Stop of any of them removes them all.
func (s *System) StartSet(ctx context.Context, load Load) ([]*Ledger, error) {
	load = load.withDefaults()
	s.Say("Deploying the ledger: %d MiB of memory, %s a message", load.Ledger.Mebibytes, load.Ledger.Service)
	for _, o := range load.objects() {
		if err := client.IgnoreAlreadyExists(s.API.Create(ctx, o)); err != nil {
			return nil, fmt.Errorf("deploying the ledger: %w", err)
		}
	}
	all := []*Ledger{{System: s, load: load}}
	if load.Replicas > 0 {
		all = s.ordinals(load)
	}
	for _, l := range all {
		if _, err := l.AwaitActive(ctx); err != nil {
			return nil, err
		}
		if err := l.feed(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (l Load) withDefaults() Load {
	if l.Producers == 0 {
		l.Producers = 1
	}
	if l.Arrivals == "" {
		l.Arrivals = producer.Constant
	}
	if l.Ledger.Namespace == "" {
		l.Ledger.Namespace = deploy.Name
	}
	if l.Ledger.Queues.In == "" {
		// Queues of its own, so that ledgers do not meet.
		l.Ledger.Queues = wire.Queues{In: l.Ledger.Namespace + ".in", Out: l.Ledger.Namespace + ".out", Type: "classic"}
	}
	return l
}

func (l Load) objects() []client.Object {
	objects := deploy.Base(l.Ledger)
	switch {
	case l.Replicas > 0:
		set, service := deploy.StatefulSet(l.Ledger, l.Replicas)
		return append(objects, service, set)
	case l.Bare:
		return append(objects, deploy.Pod(l.Ledger))
	default:
		return append(objects, deploy.Deployment(l.Ledger))
	}
}

// ordinals are the ledgers of a StatefulSet.
func (s *System) ordinals(load Load) []*Ledger {
	var all []*Ledger
	for i := range load.Replicas {
		l := &Ledger{System: s, load: load, pod: fmt.Sprintf("%s-%d", deploy.Name, i)}
		l.load.Ledger.Queues = deploy.OrdinalQueues(l.pod)
		all = append(all, l)
	}
	return all
}

// feed starts the producers, the judge and the observers. They end with the ledger, not with the context of its start.
func (l *Ledger) feed(ctx context.Context) error {
	host, err := l.Cluster.PodIP(ctx, cluster.RabbitMQNamespace, cluster.RabbitMQPod)
	if err != nil {
		return err
	}
	broker := fmt.Sprintf("amqp://%s:%s@%s:5672/", cluster.RabbitMQAppUser, cluster.RabbitMQAppUser, host)
	l.producers, err = producer.New(producer.Options{
		Broker: broker, Queues: l.load.Ledger.Queues, Producers: l.load.Producers, Rate: l.load.Rate, Arrivals: l.load.Arrivals,
	})
	if err != nil {
		return err
	}
	l.judge = judge.New(judge.Options{
		Broker: broker, Queues: l.load.Ledger.Queues, Accounts: l.producers.Accounts,
		State: func(ctx context.Context) (chain.State, error) { return l.state(ctx, true) },
	})
	l.sampler = &sampler{ledger: l}
	l.guard = &guard{ledger: l}
	l.done = make(chan error, 4)
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, run := range []func(context.Context) error{l.judge.Run, l.producers.Run, l.sampler.run, l.guard.run} {
		go func() { l.done <- run(ctx) }()
	}
	l.Say("Producing %g messages a second", l.load.Rate)
	return nil
}

// standstill is how long a ledger may publish nothing before it is waited for no longer.
const standstill = 2 * time.Minute

// Verdict on everything so far, while the producers go on. A ledger that gets on is given the time that its backlog takes.
func (l *Ledger) Verdict(ctx context.Context) (judge.Verdict, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		outputs := 0
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(standstill):
				if now := len(l.judge.Outputs()); now == outputs {
					cancel(fmt.Errorf("the ledger has published nothing for %s", standstill))
				} else {
					outputs = now
				}
			}
		}
	}()
	v, err := l.judge.Verdict(ctx)
	if err != nil {
		err = errors.Join(err, context.Cause(ctx))
	}
	return v, errors.Join(err, l.guard.violation())
}

// Finish stops the producers and judges everything, to the last message.
func (l *Ledger) Finish(ctx context.Context) (judge.Verdict, error) {
	l.producers.Stop()
	err := l.await(ctx, "the producers' last confirms", time.Minute, func(context.Context) (bool, string, error) {
		for _, a := range l.producers.Accounts() {
			if !a.Complete {
				return false, a.Producer + " is not complete", nil
			}
		}
		return true, "", nil
	})
	if err != nil {
		return judge.Verdict{}, err
	}
	return l.Verdict(ctx)
}

// Stop ends the load and removes the ledger with its namespace and queues.
func (l *Ledger) Stop(ctx context.Context) error {
	l.stop()
	for range cap(l.done) {
		if err := <-l.done; err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("ending the load: %w", err)
		}
	}
	ns := &corev1.Namespace{}
	ns.Name = l.load.Ledger.Namespace
	if err := client.IgnoreNotFound(l.API.Delete(ctx, ns)); err != nil {
		return fmt.Errorf("deleting namespace: %w", err)
	}
	err := l.await(ctx, "the end of namespace "+ns.Name, 2*time.Minute, func(ctx context.Context) (bool, string, error) {
		err := l.API.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		return err != nil, "it is still there", client.IgnoreNotFound(err)
	})
	if err != nil {
		return err
	}
	return l.deleteQueues(ctx)
}

func (l *Ledger) deleteQueues(ctx context.Context) error {
	for _, q := range []string{l.load.Ledger.Queues.In, l.load.Ledger.Queues.Out} {
		if _, err := l.Rabbitmqctl(ctx, "delete_queue", q); err != nil {
			return err
		}
	}
	return nil
}

// Rabbitmqctl runs in the broker's pod.
func (s *System) Rabbitmqctl(ctx context.Context, args ...string) (string, error) {
	exec := []string{"exec", "-n", cluster.RabbitMQNamespace, cluster.RabbitMQPod, "--", "rabbitmqctl", "--quiet"}
	return s.Cluster.Kubectl(ctx, append(exec, args...)...)
}

// AwaitActive waits for the one active instance.
func (l *Ledger) AwaitActive(ctx context.Context) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := l.await(ctx, "an active ledger", time.Minute, func(ctx context.Context) (ok bool, seen string, err error) {
		pod, seen, err = l.active(ctx)
		return pod != nil, seen, err
	})
	return pod, err
}

// AwaitOne waits until the active instance is the only one that is left: no target of a rolled back migration, no source.
func (l *Ledger) AwaitOne(ctx context.Context) error {
	return l.await(ctx, "one pod alone", 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		found, seen, err := l.active(ctx)
		if err != nil || found == nil {
			return false, seen, err
		}
		pods, err := l.pods(ctx)
		return len(pods) == 1, seen, err
	})
}

// Instance is the process that holds the state, wherever it has been moved to: one that started afresh is another.
func (l *Ledger) Instance(ctx context.Context) (instance string, err error) {
	err = l.await(ctx, "the ledger's state", time.Minute, func(ctx context.Context) (bool, string, error) {
		state, err := l.state(ctx, false)
		instance = state.Instance
		return err == nil, "", err
	})
	return instance, err
}

// active returns the ready and active instance, or nil with what there is instead.
func (l *Ledger) active(ctx context.Context) (*corev1.Pod, string, error) {
	pods, err := l.pods(ctx)
	if err != nil {
		return nil, "", err
	}
	var found *corev1.Pod
	seen := ""
	for i, p := range pods {
		active := condition(&p, v1alpha1.ConditionActive) && condition(&p, corev1.PodReady) && p.DeletionTimestamp == nil
		seen += fmt.Sprintf("%s on %s is %s, active %t; ", p.Name, p.Spec.NodeName, p.Status.Phase, active)
		if active {
			if found != nil {
				return nil, seen, nil
			}
			found = &pods[i]
		}
	}
	return found, seen, nil
}

func (l *Ledger) pods(ctx context.Context) ([]corev1.Pod, error) {
	pods := &corev1.PodList{}
	err := l.API.List(ctx, pods, client.InNamespace(l.load.Ledger.Namespace), l.labels())
	return pods.Items, err
}

// labels of the ledger's pods; those of a StatefulSet's pod are also its stand-in's.
func (l *Ledger) labels() client.MatchingLabels {
	if l.pod != "" {
		return client.MatchingLabels{appsv1.StatefulSetPodNameLabel: l.pod}
	}
	return client.MatchingLabels{"app": deploy.Name}
}

func (l *Ledger) state(ctx context.Context, memory bool) (chain.State, error) {
	pod, err := l.AwaitActive(ctx)
	if err != nil {
		return chain.State{}, err
	}
	return judge.FetchState(ctx, base(pod), memory)
}

func base(pod *corev1.Pod) string { return fmt.Sprintf("http://%s:%d", pod.Status.PodIP, deploy.Port) }
