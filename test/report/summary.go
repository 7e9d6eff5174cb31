package report

import "slices"

// Summary of several migrations.
type Summary struct {
	Runs []Result `json:"runs"`
	// Exact runs: a median would hide the one that was not.
	Exact  int     `json:"exact"`
	Median Measure `json:"median"`
}

// Measure is what of a Result has a median. The fields mean the same as there.
type Measure struct {
	Phases       Phases      `json:"phases"`
	TotalSeconds float64     `json:"totalSeconds"`
	PauseMillis  PauseMillis `json:"pauseMillis"`
	ArchiveBytes uint64      `json:"archiveBytes"`
	Replayed     uint64      `json:"replayed"`
	Lambda       float64     `json:"lambda"`
	Mu           float64     `json:"mu"`
}

// Summarize takes the medians, each over all runs that have the value.
func Summarize(runs []Result) Summary {
	of := func(value func(Result) float64) float64 {
		values := make([]float64, 0, len(runs))
		for _, r := range runs {
			values = append(values, value(r))
		}
		return median(values)
	}
	s := Summary{Runs: runs, Median: Measure{
		Phases:       medianPhases(runs),
		TotalSeconds: of(func(r Result) float64 { return r.TotalSeconds }),
		PauseMillis: PauseMillis{
			Checkpoint: of(func(r Result) float64 { return r.PauseMillis.Checkpoint }),
			Handover:   of(func(r Result) float64 { return r.PauseMillis.Handover }),
			Longest:    of(func(r Result) float64 { return r.PauseMillis.Longest }),
		},
		ArchiveBytes: uint64(of(func(r Result) float64 { return float64(r.ArchiveBytes) })),
		Replayed:     uint64(of(func(r Result) float64 { return float64(r.Replayed) })),
		Lambda:       of(func(r Result) float64 { return r.Lambda }),
		Mu:           of(func(r Result) float64 { return r.Mu }),
	}}
	for _, r := range runs {
		if r.Exact() {
			s.Exact++
		}
	}
	return s
}

// WriteJSON writes the summary to a file, whose folder it makes.
func (s Summary) WriteJSON(path string) error { return writeJSON(path, s) }

// medianPhases keeps the order in which the phases first appear.
func medianPhases(runs []Result) Phases {
	var names []string
	seconds := map[string][]float64{}
	for _, r := range runs {
		for _, p := range r.Phases {
			if _, known := seconds[p.Name]; !known {
				names = append(names, p.Name)
			}
			seconds[p.Name] = append(seconds[p.Name], p.Seconds)
		}
	}
	phases := make(Phases, 0, len(names))
	for _, name := range names {
		phases = append(phases, Phase{Name: name, Seconds: median(seconds[name])})
	}
	return phases
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
