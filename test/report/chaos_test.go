package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func chaosOf(runs ...ChaosRun) Chaos {
	c := Chaos{Seed: 7}
	for i, r := range runs {
		r.Seed = c.Seed + uint64(i)
		c.Add(r)
	}
	return c
}

func TestChaosCounts(t *testing.T) {
	broken := ChaosRun{Fault: "broker killed", Phase: "Replaying", Struck: true, Outcome: "Succeeded"}
	broken.Violate("%d lost", 3)
	c := chaosOf(
		ChaosRun{Fault: "broker killed", Phase: "Replaying", Struck: true, Outcome: "RolledBack"},
		ChaosRun{Fault: "source's app killed", Phase: "Pending", Struck: true, Outcome: "RolledBack", Died: true},
		ChaosRun{Fault: "source's app killed", Phase: "Finalizing", Outcome: "Succeeded"},
		broken,
	)
	require.Equal(t, 4, c.Runs)
	require.Equal(t, map[string]int{"broker killed": 2, "source's app killed": 1}, c.Faults)
	require.Equal(t, []int{1, 1, 1}, []int{c.Violations, c.Died, c.Missed})
	require.Contains(t, c.Each[3].Verdict(), "VIOLATION: 3 lost")
	require.Contains(t, c.String(), "4 runs from seed 7: 3 struck, 1 violations, in 1 the process with the state died")
}

func TestChaosPicture(t *testing.T) {
	many := make([]ChaosRun, 60)
	for i := range many {
		many[i] = ChaosRun{Fault: "broker <killed>", Phase: "Replaying", Struck: i%2 == 0, Outcome: "Succeeded"}
	}
	text := string(chaosOf(many...).draw())
	require.Equal(t, 60, strings.Count(text, "data-seed"))
	require.Equal(t, 30, strings.Count(text, `class="missed" cx="`)-1, "all but the legend's")
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else {
			require.NoError(t, err)
		}
	}
}
