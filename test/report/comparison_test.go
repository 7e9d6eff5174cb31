package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComparisonShowsEveryRun(t *testing.T) {
	run := func(total float64) Result { return Result{TotalSeconds: total, StateEqual: true} }
	c := Comparison{Title: "Loads", Series: []Load{
		{Rate: 5, MemoryMiB: 64, Summary: Summarize([]Result{run(3), run(4), run(9)})},
		{Rate: 150, MemoryMiB: 64, Summary: Summarize([]Result{run(5)})},
	}}
	path := filepath.Join(t.TempDir(), "new", "loads.svg")
	require.NoError(t, c.WriteFile(path))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder := xml.NewDecoder(strings.NewReader(string(text)))
	for {
		if _, err = decoder.Token(); err != nil {
			break
		}
	}
	require.True(t, errors.Is(err, io.EOF), "not well-formed: %v", err)
	require.Equal(t, 4*len(panels), strings.Count(string(text), "<circle"), "a run is missing")
	require.Equal(t, 2*len(panels), strings.Count(string(text), `class="median"`))
	require.Contains(t, string(text), "150 messages/s")
	require.Error(t, Comparison{}.WriteFile(path))
}
