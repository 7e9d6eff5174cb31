package report

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// requireGolden compares text with a file of testdata, and that it fits into 80 plain columns.
func requireGolden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(golden), text)
	require.NotContains(t, text, "\x1b", "no colour where there is no terminal")
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 81, line)
		require.Equal(t, strings.TrimRight(line, " \n"), strings.TrimSuffix(line, "\n"), "no blanks at the end")
	}
}

func TestTable(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, PrintTable(&text, sampleResult()))
	requireGolden(t, "table.txt", text.String())
}

func TestTableOfAFaultyRun(t *testing.T) {
	result := sampleResult()
	result.Lost, result.StateEqual = 1234567, false
	var text bytes.Buffer
	require.NoError(t, PrintTable(&text, result))
	requireGolden(t, "table-faulty.txt", text.String())
}

func TestSummaryTable(t *testing.T) {
	faulty := sampleResult()
	faulty.OutputsLost, faulty.StateEqual = 2, false
	var text bytes.Buffer
	require.NoError(t, PrintSummary(&text, Summarize([]Result{sampleResult(), faulty, sampleResult()})))
	requireGolden(t, "summary.txt", text.String())
}

func TestTerminalGetsColourOfNoWidth(t *testing.T) {
	var plainText, coloured bytes.Buffer
	require.NoError(t, PrintTable(&plainText, sampleResult()))
	p := &printer{w: &coloured, terminal: true}
	p.zero("lost", 3)
	p.row("State equal", p.verdict(true), "")
	require.Contains(t, coloured.String(), "\x1b[31;1m3\x1b[0m")
	require.Contains(t, plainText.String(), strings.NewReplacer("\x1b[32;1m", "", "\x1b[0m", "").
		Replace(strings.Split(coloured.String(), "\n")[1]), "colour moves nothing")
}

func TestTableReportsThatItCouldNotBeWritten(t *testing.T) {
	require.ErrorIs(t, PrintTable(failing{}, sampleResult()), errFull)
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }
