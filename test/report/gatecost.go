package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// GateCost is what the gate costs an app, against a direct connection in the same run. Each round has measured both, one
// right after the other. Its JSON form is read by others: fields are only ever added.
type GateCost struct {
	// Latency end to end, messages being sent at a rate.
	Latency []LatencyRound `json:"latency"`
	// Throughput at saturation, by the messages' size.
	Throughput []Saturation `json:"throughput"`
	// IdleBytes and LoadedBytes of the gate's memory are resident: with an idle app, and the most there ever were under
	// load.
	IdleBytes   uint64  `json:"idleBytes"`
	LoadedBytes uint64  `json:"loadedBytes"`
	Machine     Machine `json:"machine"`
}

// Machine that measured, and its load average of a minute before and after.
type Machine struct {
	Cores      int    `json:"cores"`
	LoadBefore string `json:"loadBefore"`
	LoadAfter  string `json:"loadAfter"`
}

// LatencyRound in microseconds.
type LatencyRound struct {
	Direct Latency `json:"direct"`
	Gate   Latency `json:"gate"`
}

// Latency of messages in microseconds, at quantiles.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Saturation with messages of one size in bytes.
type Saturation struct {
	Size   int               `json:"size"`
	Rounds []ThroughputRound `json:"rounds"`
}

// ThroughputRound in messages per second.
type ThroughputRound struct {
	Direct float64 `json:"direct"`
	Gate   float64 `json:"gate"`
	// Used by the gate's process for a message that passes it twice, as message and as output.
	Used Usage `json:"used"`
}

// Usage per message.
type Usage struct {
	Allocations float64 `json:"allocations"`
	CPUMicros   float64 `json:"cpuMicros"`
}

// Quantiles in microseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Added latency: the medians over the rounds of what the gate adds to a quantile.
func (g GateCost) Added() Quantiles {
	return Quantiles{
		P50: g.added(func(l Latency) float64 { return l.P50 }),
		P99: g.added(func(l Latency) float64 { return l.P99 }),
	}
}

func (g GateCost) added(quantile func(Latency) float64) float64 {
	return medianOf(g.Latency, func(r LatencyRound) float64 { return quantile(r.Gate) - quantile(r.Direct) })
}

// Ratio of the throughputs through the gate and direct: the median over the rounds.
func (s Saturation) Ratio() float64 { return medianOf(s.Rounds, ThroughputRound.ratio) }

func (r ThroughputRound) ratio() float64 { return r.Gate / r.Direct }

// Used per message: medians over the rounds.
func (s Saturation) Used() Usage {
	return Usage{
		Allocations: medianOf(s.Rounds, func(r ThroughputRound) float64 { return r.Used.Allocations }),
		CPUMicros:   medianOf(s.Rounds, func(r ThroughputRound) float64 { return r.Used.CPUMicros }),
	}
}

// MarshalJSON adds the medians.
func (g GateCost) MarshalJSON() ([]byte, error) {
	type rounds GateCost
	with := struct {
		AddedLatencyMicros Quantiles       `json:"addedLatencyMicros"`
		ThroughputRatio    map[int]float64 `json:"throughputRatio"`
		UsedPerMessage     map[int]Usage   `json:"usedPerMessage"`
		rounds
	}{g.Added(), map[int]float64{}, map[int]Usage{}, rounds(g)}
	for _, s := range g.Throughput {
		with.ThroughputRatio[s.Size], with.UsedPerMessage[s.Size] = s.Ratio(), s.Used()
	}
	return json.Marshal(with)
}

// WriteJSON writes the result to a file, whose folder it makes.
func (g GateCost) WriteJSON(path string) error { return writeJSON(path, g) }

// What the gate may cost on two cores.
const (
	mostAddedP50 = 100.0  // microseconds
	mostAddedP99 = 1000.0 // microseconds
	leastRatio   = 0.85
	mostIdle     = 20 << 20
)

// Print writes a table for people.
func (g GateCost) Print(w io.Writer) error {
	p := newPrinter(w)
	added := g.Added()
	p.heading("Latency added by the gate", "microseconds")
	p.row("half of the messages, at most", micros(added.P50), p.target(added.P50 <= mostAddedP50, "at most "+micros(mostAddedP50)))
	p.row("99 of 100, at most", micros(added.P99), p.target(added.P99 <= mostAddedP99, "at most "+micros(mostAddedP99)))
	p.heading("Throughput through the gate", "of direct")
	for _, s := range g.Throughput {
		p.row(bytesName(s.Size)+" messages", percent(s.Ratio()), p.target(s.Ratio() >= leastRatio, "at least "+percent(leastRatio)))
	}
	p.heading("The gate's work per message", "microseconds")
	for _, s := range g.Throughput {
		used := s.Used()
		p.row(bytesName(s.Size)+" messages", fmt.Sprintf("%.1f", used.CPUMicros), fmt.Sprintf("%.2f allocations", used.Allocations))
	}
	p.heading("The gate's memory", "")
	p.row("idle", mebibytes(g.IdleBytes), p.target(g.IdleBytes <= mostIdle, "at most "+mebibytes(mostIdle)))
	p.row("most under load", mebibytes(g.LoadedBytes), "")
	return p.err
}

func (p *printer) target(met bool, text string) string {
	if met {
		return text
	}
	return p.colour("31;1", "missed: "+text)
}

func micros(us float64) string { return fmt.Sprintf("%.0f", us) }

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// bytesName of a size in bytes.
func bytesName(size int) string {
	if size >= 1<<10 && size%(1<<10) == 0 {
		return fmt.Sprintf("%d-KiB", size>>10)
	}
	return fmt.Sprintf("%d-byte", size)
}

func medianOf[T any](all []T, value func(T) float64) float64 { return median(valuesOf(all, value)) }
