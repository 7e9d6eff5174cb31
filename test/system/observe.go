package system

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ms2m.dev/ms2m-descheduler/pkg/api/v1alpha1"
	"ms2m.dev/ms2m-descheduler/test/workloads/ledger/judge"
)

// Sample is how many messages one instance had applied at a time.
type Sample struct {
	At    time.Time
	Pod   types.UID
	Count uint64
}

// sampleEvery is fine enough to see a pause of a tenth of a second.
const sampleEvery = 50 * time.Millisecond

// sampler reads the count of every instance, active or not, as often as sampleEvery.
type sampler struct {
	ledger *Ledger

	mu      sync.Mutex
	samples []Sample
}

func (s *sampler) run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			s.sample(ctx)
		}
	}
}

// sample skips instances that do not answer: they are starting, frozen or gone, which the next sample shows.
func (s *sampler) sample(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	pods, err := s.ledger.pods(ctx)
	if err != nil {
		return
	}
	for _, p := range pods {
		if p.Status.PodIP == "" || p.Status.Phase != corev1.PodRunning {
			continue
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sampleEvery*4)
			defer cancel()
			at := time.Now()
			state, err := judge.FetchState(ctx, base(&p), false)
			if err != nil {
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.samples = append(s.samples, Sample{At: at, Pod: p.UID, Count: state.Count})
		}()
	}
}

// between returns the samples of a window.
func (s *sampler) between(from, to time.Time) []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	var some []Sample
	for _, v := range s.samples {
		if !v.At.Before(from) && !v.At.After(to) {
			some = append(some, v)
		}
	}
	return some
}

// guard watches the pods and notes when two of them were active at the same time.
type guard struct {
	ledger *Ledger

	mu    sync.Mutex
	seen  map[types.UID]string
	wrong error
}

func (g *guard) run(ctx context.Context) error {
	for ctx.Err() == nil {
		w, err := g.ledger.API.Watch(ctx, &corev1.PodList{}, client.InNamespace(g.ledger.load.Ledger.Namespace), g.ledger.labels())
		if err != nil {
			continue
		}
		g.mu.Lock()
		g.seen = map[types.UID]string{}
		g.mu.Unlock()
		for e := range w.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok {
				g.observe(pod, e.Type == "DELETED")
			}
		}
	}
	return ctx.Err()
}

func (g *guard) observe(pod *corev1.Pod, gone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gone || !condition(pod, v1alpha1.ConditionActive) {
		delete(g.seen, pod.UID)
		return
	}
	g.seen[pod.UID] = pod.Name
	if len(g.seen) > 1 {
		g.wrong = errors.Join(g.wrong, fmt.Errorf("two instances were active at the same time: %v", g.seen))
	}
}

func (g *guard) violation() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wrong
}
