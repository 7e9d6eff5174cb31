package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sampleResult() Result {
	return Result{
		Strategy: "Shadow",
		Phases: Phases{
			{"Checkpointing", 0.45}, {"Transferring", 0.26}, {"Restoring", 0.89}, {"Replaying", 0.61}, {"Finalizing", 0.27},
		},
		TotalSeconds: 2.48,
		PauseMillis:  PauseMillis{Checkpoint: 300.4, Handover: 90, Longest: 300.4},
		Published:    12345, Processed: 12345, StateEqual: true,
		ArchiveBytes: 71 << 20, Replayed: 96, Lambda: 50, Mu: 160,
	}
}

func TestResultHasExactlyTheseFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "demo.json")
	require.NoError(t, sampleResult().WriteJSON(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"strategy": "Shadow",
		"phases": {"Checkpointing": 0.45, "Transferring": 0.26, "Restoring": 0.89, "Replaying": 0.61, "Finalizing": 0.27},
		"totalSeconds": 2.48,
		"pauseMillis": {"checkpoint": 300.4, "handover": 90, "longest": 300.4},
		"published": 12345, "processed": 12345, "lost": 0, "duplicated": 0, "reordered": 0,
		"outputsDuplicated": 0, "outputsLost": 0, "stateEqual": true,
		"archiveBytes": 74448896, "replayed": 96, "lambda": 50, "mu": 160
	}`, string(text))
	var back Result
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, sampleResult(), back)
}

func TestPhasesKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.String(), rapid.ID[string]).Draw(t, "names")
		phases := Phases(nil)
		for _, name := range names {
			phases = append(phases, Phase{Name: name, Seconds: rapid.Float64Range(0, 100).Draw(t, "seconds")})
		}
		text, err := json.Marshal(phases)
		require.NoError(t, err)
		var back Phases
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, phases, back)
	})
}

func TestPhasesRefuseOtherJSON(t *testing.T) {
	for _, text := range []string{`[]`, `1`, `{"a": "b"}`} {
		var phases Phases
		require.Error(t, json.Unmarshal([]byte(text), &phases), text)
	}
}

func TestResultIsExactOnlyWithoutAnyFault(t *testing.T) {
	require.True(t, sampleResult().Exact())
	for name, spoil := range map[string]func(*Result){
		"lost":               func(r *Result) { r.Lost = 1 },
		"duplicated":         func(r *Result) { r.Duplicated = 1 },
		"reordered":          func(r *Result) { r.Reordered = 1 },
		"outputs duplicated": func(r *Result) { r.OutputsDuplicated = 1 },
		"outputs lost":       func(r *Result) { r.OutputsLost = 1 },
		"state":              func(r *Result) { r.StateEqual = false },
	} {
		result := sampleResult()
		spoil(&result)
		require.False(t, result.Exact(), name)
	}
}

func TestSummaryTakesMediansAndCountsExactRuns(t *testing.T) {
	var runs []Result
	for _, total := range []float64{3, 1, 2, 9} {
		r := sampleResult()
		r.TotalSeconds, r.PauseMillis.Handover = total, 10*total
		runs = append(runs, r)
	}
	runs[1].Lost = 7
	runs[2].Phases = Phases{{"Checkpointing", 5}, {"Waiting", 4}}
	s := Summarize(runs)
	require.Equal(t, 3, s.Exact)
	require.InDelta(t, 2.5, s.Median.TotalSeconds, 1e-9)
	require.InDelta(t, 25, s.Median.PauseMillis.Handover, 1e-9)
	require.Equal(t, Phase{"Checkpointing", 0.45}, s.Median.Phases[0])
	require.Equal(t, Phase{"Waiting", 4}, s.Median.Phases[5])
	require.Equal(t, []float64{3, 1, 2, 9}, []float64{
		s.Runs[0].TotalSeconds, s.Runs[1].TotalSeconds, s.Runs[2].TotalSeconds, s.Runs[3].TotalSeconds,
	}, "the runs keep their order")

	path := filepath.Join(t.TempDir(), "demo.json")
	require.NoError(t, s.WriteJSON(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var back Summary
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, s, back)
}

func TestSummaryOfNothing(t *testing.T) {
	require.Zero(t, Summarize(nil).Median.TotalSeconds)
}
