package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// ratiosAt is the size at which the ratios are taken, in MiB.
const ratiosAt = 256

// row of the result: one size.
type row struct {
	MiB int `json:"mebibytes"`
	// Seconds and Bytes on the link by way.
	Seconds map[string]float64 `json:"seconds"`
	Bytes   map[string]int64   `json:"bytes"`
	// SenderMiB and ReceiverMiB are the most memory that the agents' processes had so far.
	SenderMiB   float64 `json:"senderMebibytes"`
	ReceiverMiB float64 `json:"receiverMebibytes"`
}

func (r row) String() string {
	s := fmt.Sprintf("%5d MiB", r.MiB)
	for _, w := range ways {
		s += fmt.Sprintf("  %s %.2f s", w.name, r.Seconds[w.name])
	}
	return s
}

// imageWayOverDirect is how many times as long the way through a registry takes.
func (r row) imageWayOverDirect() float64 { return r.Seconds["image"] / r.Seconds["direct"] }

// directOverCopy compares with the quicker of the two plain copies, which verify and unpack nothing.
func (r row) directOverCopy() float64 {
	return r.Seconds["direct"] / min(r.Seconds["rsync"], r.Seconds["scp"])
}

// result is what the file holds.
type result struct {
	Rows               []row   `json:"rows"`
	ImageWayOverDirect float64 `json:"imageWayOverDirect"`
	DirectOverCopy     float64 `json:"directOverCopy"`
	// AgentMiB is the most memory that an agent's process had, sending or receiving.
	AgentMiB float64 `json:"agentMebibytes"`
}

func newResult() *result { return &result{} }

func (r *result) add(x row) {
	r.Rows = append(r.Rows, x)
	r.AgentMiB = max(r.AgentMiB, x.SenderMiB, x.ReceiverMiB)
	if x.MiB == ratiosAt {
		r.ImageWayOverDirect, r.DirectOverCopy = x.imageWayOverDirect(), x.directOverCopy()
	}
}

func (r *result) table() string {
	var s strings.Builder
	fmt.Fprintf(&s, "\n%8s  %9s  %9s  %9s  %9s  %14s  %13s\n", "MiB", "direct, s", "rsync, s", "scp, s", "image, s", "image / direct", "direct / copy")
	for _, x := range r.Rows {
		fmt.Fprintf(&s, "%8d  %9.2f  %9.2f  %9.2f  %9.2f  %14.2f  %13.2f\n", x.MiB, x.Seconds["direct"], x.Seconds["rsync"], x.Seconds["scp"],
			x.Seconds["image"], x.imageWayOverDirect(), x.directOverCopy())
	}
	fmt.Fprintf(&s, "\nmost memory of an agent: %.0f MiB\n", r.AgentMiB)
	return s.String()
}

func (r *result) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
