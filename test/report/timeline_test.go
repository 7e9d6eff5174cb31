package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing them")

var zero = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return zero.Add(time.Duration(seconds * float64(time.Second)))
}

// counts samples, each 50 ms, a counter that runs at the rates given for stretches of time.
func counts(start float64, from uint64, stretches ...[2]float64) []Count {
	var counts []Count
	at, exact := start, float64(from)
	for _, stretch := range stretches {
		for end := at + stretch[0]; at < end-1e-9; at += 0.05 {
			counts = append(counts, Count{At: after(at), Count: uint64(exact)})
			exact += stretch[1] * 0.05
		}
	}
	return counts
}

// sample is a migration at 50 messages a second.
func sample() Timeline {
	return Timeline{
		Title:    "Live migration of ledger/ledger from worker-1 to worker-2, strategy Shadow",
		Subtitle: "50 messages/s, 5 ms each, 64 MiB of memory; state equal: yes",
		Source:   counts(-3, 1000, [2]float64{3.1, 50}, [2]float64{0.3, 0}, [2]float64{0.15, 140}, [2]float64{1.75, 50}),
		Target:   counts(1.5, 1155, [2]float64{0.1, 0}, [2]float64{0.65, 160}, [2]float64{0.1, 0}, [2]float64{3.5, 50}),
		Phases: []Span{
			{"Checkpointing", after(0), after(0.45)},
			{"Transferring", after(0.45), after(0.71)},
			{"Restoring", after(0.71), after(1.6)},
			{"Replaying", after(1.6), after(2.21)},
			{"Finalizing", after(2.21), after(2.48)},
		},
		Pauses: []Span{
			{"checkpoint", after(0.1), after(0.4)},
			{"hand-over", after(2.21), after(2.30)},
		},
	}
}

func draw(t *testing.T, timeline Timeline) []byte {
	t.Helper()
	var svg bytes.Buffer
	require.NoError(t, timeline.WriteSVG(&svg))
	return svg.Bytes()
}

// elements parses the picture and returns all its elements, which proves it well-formed.
func elements(t *testing.T, svg []byte) []xml.StartElement {
	t.Helper()
	var all []xml.StartElement
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if element, ok := token.(xml.StartElement); ok {
			all = append(all, element.Copy())
		}
	}
}

func attributeOf(t *testing.T, element xml.StartElement, name string) string {
	t.Helper()
	for _, a := range element.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// bands returns left edge and width of the rectangles that carry the attribute, by its value.
func bands(t *testing.T, svg []byte, name string) map[string][2]float64 {
	t.Helper()
	found := map[string][2]float64{}
	for _, element := range elements(t, svg) {
		if value := attributeOf(t, element, name); value != "" {
			left, err := strconv.ParseFloat(attributeOf(t, element, "x"), 64)
			require.NoError(t, err)
			width, err := strconv.ParseFloat(attributeOf(t, element, "width"), 64)
			require.NoError(t, err)
			found[value] = [2]float64{left, width}
		}
	}
	return found
}

func TestTimelineDrawsBandsWhereThePhasesAre(t *testing.T) {
	timeline := sample()
	phases := bands(t, draw(t, timeline), "data-phase")
	require.Len(t, phases, len(timeline.Phases))
	perSecond := phases["Restoring"][1] / 0.89
	right := phases["Checkpointing"][0]
	for _, phase := range timeline.Phases {
		band := phases[phase.Name]
		require.InDelta(t, right, band[0], 0.2, "%s begins where the phase before ends", phase.Name)
		require.InDelta(t, phase.To.Sub(phase.From).Seconds()*perSecond, band[1], 0.3, phase.Name)
		right = band[0] + band[1]
	}
}

func TestTimelineMarksThePauses(t *testing.T) {
	svg := draw(t, sample())
	phases, pauses := bands(t, svg, "data-phase"), bands(t, svg, "data-pause")
	require.Len(t, pauses, 2)
	require.InDelta(t, phases["Finalizing"][0], pauses["hand-over"][0], 0.2)
	require.Greater(t, pauses["checkpoint"][0], phases["Checkpointing"][0])
	require.Contains(t, string(svg), "checkpoint pause 300 ms")
	require.Contains(t, string(svg), "Restoring 0.89 s")
}

func TestTimelineMatchesTheGoldenPicture(t *testing.T) {
	path := filepath.Join("testdata", "timeline.svg")
	svg := draw(t, sample())
	if *update {
		require.NoError(t, os.WriteFile(path, svg, 0o644))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(svg), "look at the new picture; if it is right, run the test with -update")
}

func TestTimelineShowsTheContextOnly(t *testing.T) {
	timeline := sample()
	short := draw(t, timeline)
	timeline.Source = append(counts(-60, 0, [2]float64{57, 17.5}), timeline.Source...)
	require.Equal(t, string(short), string(draw(t, timeline)))
	timeline.Context = 10 * time.Second
	require.NotEqual(t, string(short), string(draw(t, timeline)))
}

func TestTimelineEscapesNames(t *testing.T) {
	timeline := sample()
	timeline.Title = `a <b> & "c"`
	timeline.Phases[0].Name = `<&">`
	require.Contains(t, bands(t, draw(t, timeline), "data-phase"), `<&">`)
}

func TestTimelineDrawsWithWhatThereIs(t *testing.T) {
	whole := sample()
	for name, timeline := range map[string]Timeline{
		"no phases":   {Source: whole.Source},
		"no source":   {Target: whole.Target, Phases: whole.Phases},
		"no progress": {Source: counts(0, 7, [2]float64{2, 0})},
	} {
		require.NotEmpty(t, elements(t, draw(t, timeline)), name)
	}
	require.Error(t, Timeline{Phases: whole.Phases}.WriteSVG(io.Discard))
}

func TestTimelineIsWrittenToAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out", "demo.svg")
	require.NoError(t, sample().WriteFile(path))
	svg, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotEmpty(t, elements(t, svg))
}

func TestRatesShowSilenceAndSpeed(t *testing.T) {
	series := counts(0, 0, [2]float64{3, 50}, [2]float64{1, 0}, [2]float64{3, 100})
	at := map[float64]float64{1.5: 50, 3.5: 0, 5.5: 100}
	for _, p := range rates(series, zero, window(series)) {
		for x, want := range at {
			if p.x > x-0.02 && p.x < x+0.02 {
				require.InDelta(t, want, p.y, 5, "rate at %v s", x)
				delete(at, x)
			}
		}
	}
	require.Empty(t, at, "no rate at these times")
}

func TestRatesOfACounterThatBeganAnew(t *testing.T) {
	series := append(counts(0, 500, [2]float64{1, 50}), counts(1, 0, [2]float64{1, 50})...)
	for _, p := range rates(series, zero, 0.2) {
		require.GreaterOrEqual(t, p.y, 0.0)
	}
}

func TestTicksAreRound(t *testing.T) {
	require.Equal(t, []float64{0, 20, 40, 60, 80, 100}, scale{from: 0, to: 100}.ticks(5))
	require.Equal(t, []float64{-2, -1, 0, 1, 2}, scale{from: -2.5, to: 2.5}.ticks(5))
}

func TestLabelsDoNotCoverEachOther(t *testing.T) {
	var r rows
	require.Equal(t, 0, r.place(0, 10))
	require.Equal(t, 1, r.place(5, 15))
	require.Equal(t, 0, r.place(10, 20))
	require.Equal(t, 2, r.place(12, 14))
}
