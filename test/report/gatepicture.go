package report

import (
	"errors"
	"fmt"
)

// WriteFile writes the picture to a file, whose folder it makes: every round as a dot, medians as bars, and what the gate
// may cost as dashed lines.
func (g GateCost) WriteFile(path string) error {
	if len(g.Latency) == 0 || len(g.Throughput) == 0 {
		return errors.New("drawing the gate's cost: nothing was measured")
	}
	return writeFile(path, "picture", g.draw())
}

func (g GateCost) draw() []byte {
	d := newDots("What the gate costs", fmt.Sprintf(
		"against a direct connection in the same run, on %d cores; each dot is a round, each bar a median, dashed what is allowed",
		g.Machine.Cores), 5)
	quantile := func(name string, of func(Latency) float64, most float64) {
		d.panel("latency end to end, "+name+", microseconds", []column{
			{"direct", valuesOf(g.Latency, func(r LatencyRound) float64 { return of(r.Direct) })},
			{"through the gate", valuesOf(g.Latency, func(r LatencyRound) float64 { return of(r.Gate) })},
		}, most+medianOf(g.Latency, func(r LatencyRound) float64 { return of(r.Direct) }))
	}
	quantile("median", func(l Latency) float64 { return l.P50 }, mostAddedP50)
	quantile("99th percentile", func(l Latency) float64 { return l.P99 }, mostAddedP99)

	var ratios, cpu []column
	for _, s := range g.Throughput {
		label := bytesName(s.Size) + " messages"
		ratios = append(ratios, column{label, valuesOf(s.Rounds, func(r ThroughputRound) float64 { return 100 * r.ratio() })})
		cpu = append(cpu, column{label, valuesOf(s.Rounds, func(r ThroughputRound) float64 { return r.Used.CPUMicros })})
	}
	d.panel("throughput at saturation through the gate, percent of direct", ratios, 100*leastRatio)
	d.panel("CPU time of the gate per message, microseconds", cpu)
	d.panel("resident memory of the gate, MiB", []column{
		{"idle", []float64{float64(g.IdleBytes) / (1 << 20)}},
		{"most under load", []float64{float64(g.LoadedBytes) / (1 << 20)}},
	}, mostIdle/(1<<20))
	return d.end()
}

func valuesOf[T any](all []T, value func(T) float64) []float64 {
	values := make([]float64, 0, len(all))
	for _, v := range all {
		values = append(values, value(v))
	}
	return values
}
