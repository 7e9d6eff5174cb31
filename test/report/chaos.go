package report

import (
	"fmt"
	"slices"
	"strings"
)

// Chaos is what became of migrations that were struck. Its JSON form is read by others: fields are only ever added.
type Chaos struct {
	// Seed of the first run.
	Seed uint64 `json:"seed"`
	Runs int    `json:"runs"`
	// Faults that struck a migration under way, by their name.
	Faults map[string]int `json:"faults"`
	// Violations are the runs in which the promise did not hold.
	Violations int `json:"violations"`
	// Died are the runs in which the fault ended the process with the state; Missed those whose fault came too early or too
	// late.
	Died   int        `json:"died"`
	Missed int        `json:"missed"`
	Each   []ChaosRun `json:"each"`
}

// ChaosRun is one migration and its fault.
type ChaosRun struct {
	Seed  uint64 `json:"seed"`
	Fault string `json:"fault"`
	// Phase in which the fault was to strike; Struck if it did.
	Phase  string `json:"phase"`
	Struck bool   `json:"struck"`
	// Outcome is the phase in which the migration ended, after Seconds.
	Outcome string  `json:"outcome"`
	Seconds float64 `json:"seconds"`
	Died    bool    `json:"died"`
	// Violations of the promise, in words.
	Violations []string `json:"violations,omitempty"`
}

// Violate notes what did not hold.
func (r *ChaosRun) Violate(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

// Verdict on the run in words.
func (r ChaosRun) Verdict() string {
	text := fmt.Sprintf("%s after %.1f s", r.Outcome, r.Seconds)
	switch {
	case len(r.Violations) > 0:
		return text + ", VIOLATION: " + strings.Join(r.Violations, "; ")
	case r.Died:
		return text + ", the process with the state had died"
	case !r.Struck:
		return text + ", exact, not struck"
	}
	return text + ", exact"
}

// Add a run.
func (c *Chaos) Add(r ChaosRun) {
	if c.Faults == nil {
		c.Faults = map[string]int{}
	}
	c.Runs++
	c.Each = append(c.Each, r)
	if r.Struck {
		c.Faults[r.Fault]++
	} else {
		c.Missed++
	}
	if len(r.Violations) > 0 {
		c.Violations++
	}
	if r.Died {
		c.Died++
	}
}

// String is a table of the faults.
func (c Chaos) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-26s %6s %10s %12s %6s %10s\n", "fault", "struck", "succeeded", "rolled back", "died", "violations")
	for _, f := range c.faults() {
		var struck, succeeded, back, died, violations int
		for _, r := range c.Each {
			if r.Fault != f || !r.Struck {
				continue
			}
			struck++
			switch {
			case len(r.Violations) > 0:
				violations++
			case r.Died:
				died++
			case r.Outcome == "Succeeded":
				succeeded++
			default:
				back++
			}
		}
		fmt.Fprintf(&text, "%-26s %6d %10d %12d %6d %10d\n", f, struck, succeeded, back, died, violations)
	}
	fmt.Fprintf(&text, "\n%d runs from seed %d: %d struck, %d violations, in %d the process with the state died\n",
		c.Runs, c.Seed, c.Runs-c.Missed, c.Violations, c.Died)
	return text.String()
}

// faults of all runs by name.
func (c Chaos) faults() []string {
	var names []string
	for _, r := range c.Each {
		if !slices.Contains(names, r.Fault) {
			names = append(names, r.Fault)
		}
	}
	slices.Sort(names)
	return names
}

// WriteJSON writes the report to a file, whose folder it makes.
func (c Chaos) WriteJSON(path string) error { return writeJSON(path, c) }

// WriteFile writes the picture to a file, whose folder it makes: faults by phases, every run a dot.
func (c Chaos) WriteFile(path string) error { return writeFile(path, "picture", c.draw()) }
