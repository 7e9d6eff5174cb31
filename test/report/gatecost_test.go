package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// measured cost, with a round in which something else disturbed both.
func measured() GateCost {
	latency := func(direct, gate float64) LatencyRound {
		return LatencyRound{Direct: Latency{P50: direct, P99: 2 * direct}, Gate: Latency{P50: gate, P99: 2 * gate}}
	}
	saturation := func(size int, ratios ...float64) Saturation {
		s := Saturation{Size: size}
		for _, r := range ratios {
			s.Rounds = append(s.Rounds, ThroughputRound{Direct: 1000, Gate: 1000 * r, Used: Usage{Allocations: r, CPUMicros: 10 * r}})
		}
		return s
	}
	return GateCost{
		Latency:    []LatencyRound{latency(300, 360), latency(900, 1900), latency(310, 350)},
		Throughput: []Saturation{saturation(100, 0.9, 0.95, 0.2), saturation(65536, 0.8)},
		IdleBytes:  16 << 20, LoadedBytes: 30 << 20, Machine: Machine{Cores: 2},
	}
}

func TestGateCostIsTheMedianOfRounds(t *testing.T) {
	text, err := json.Marshal(measured())
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, map[string]any{"p50": 60.0, "p99": 120.0}, got["addedLatencyMicros"])
	require.Equal(t, map[string]any{"100": 0.9, "65536": 0.8}, got["throughputRatio"])
	require.Equal(t, map[string]any{"allocations": 0.9, "cpuMicros": 9.0}, got["usedPerMessage"].(map[string]any)["100"])
	require.EqualValues(t, 16<<20, got["idleBytes"])
	require.EqualValues(t, 30<<20, got["loadedBytes"])
	require.Len(t, got["latency"], 3)
}

func TestGateCostTellsWhatIsMissed(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, measured().Print(&text))
	require.Contains(t, text.String(), "64-KiB messages                     80 %  missed: at least 85 %")
	require.Contains(t, text.String(), "100-byte messages                   90 %  at least 85 %")
	require.Equal(t, 1, strings.Count(text.String(), "missed"))
}

func TestGateCostShowsEveryRound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "gate.svg")
	require.NoError(t, measured().WriteFile(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for err == nil {
		_, err = decoder.Token()
	}
	require.True(t, errors.Is(err, io.EOF), "not well-formed: %v", err)
	// Twice direct and gate, four rounds of two sizes twice, two kinds of memory.
	require.Equal(t, 2*2*3+2*4+2, strings.Count(string(text), "<circle"))
	require.Error(t, GateCost{}.WriteFile(path))
}
