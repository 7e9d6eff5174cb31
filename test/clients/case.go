package clients

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

//go:embed cases/*.txt
var files embed.FS

// Case is something that apps do with a broker, and what comes of it.
type Case struct {
	Name  string
	Steps []Step
}

// Step of a case.
type Step struct {
	// Place is its file and line.
	Place string
	Op    string
	Args  map[string]any
	// Want is a part of the result; the rest is only compared.
	Want Result
}

// Result of a step. Fails is set in it when the step did, with what the library says of the reason.
type Result map[string]any

// Fails marks the result of a step that failed.
const Fails = "fails"

// Cases of all files.
func Cases() ([]Case, error) {
	entries, err := files.ReadDir("cases")
	if err != nil {
		return nil, err
	}
	var all []Case
	for _, e := range entries {
		text, err := files.ReadFile(path.Join("cases", e.Name()))
		if err != nil {
			return nil, err
		}
		cases, err := parse(e.Name(), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, unambiguous(all)
}

func unambiguous(cases []Case) error {
	seen := map[string]bool{}
	for _, c := range cases {
		if seen[c.Name] {
			return fmt.Errorf("reading cases: two are named %q", c.Name)
		}
		if seen[c.Name] = true; len(c.Steps) == 0 {
			return fmt.Errorf("reading cases: %q has no steps", c.Name)
		}
	}
	return nil
}

func parse(file, text string) ([]Case, error) {
	var cases []Case
	number := 0
	for line := range strings.Lines(text) {
		number++
		place := fmt.Sprintf("%s:%d", file, number)
		line = strings.TrimSpace(line)
		name, begins := strings.CutPrefix(line, "case ")
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case begins:
			cases = append(cases, Case{Name: name})
		case len(cases) == 0:
			return nil, fmt.Errorf("reading cases: %s: a step before the first case", place)
		default:
			steps, err := parseSteps(place, line)
			if err != nil {
				return nil, fmt.Errorf("reading cases: %s: %w", place, err)
			}
			last := &cases[len(cases)-1]
			last.Steps = append(last.Steps, steps...)
		}
	}
	return cases, nil
}

// parseSteps of one line: "OP key=value flag -> key=value". A body of several words, divided by commas, is as many steps.
func parseSteps(place, line string) ([]Step, error) {
	what, want, expects := strings.Cut(line, " -> ")
	s := Step{Place: place}
	op, args, _ := strings.Cut(what, " ")
	if op == "await" || op == "ask" {
		var rest string
		rest, args, _ = strings.Cut(args, " ")
		op += " " + rest
	}
	s.Op = op
	var err error
	if s.Args, err = parseFields(args); err != nil {
		return nil, err
	}
	if expects {
		if s.Want, err = parseFields(want); err != nil {
			return nil, err
		}
	}
	if size, ok := s.Want["size"].(float64); ok && size > shown {
		s.Want["sha256"] = digest(int(size))
	}
	body, _ := s.Args["body"].(string)
	var steps []Step
	for _, word := range strings.Split(body, ",") {
		one := s
		if body != "" {
			one.Args = withBody(s.Args, word)
		}
		steps = append(steps, one)
	}
	return steps, nil
}

// shown bytes of a body are the longest that programs show; of longer ones they show the digest.
const shown = 64

// digest of the body that programs publish when they are given only its size.
func digest(size int) string {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(i % 251)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func withBody(args map[string]any, body string) map[string]any {
	changed := map[string]any{"body": body}
	for k, v := range args {
		if k != "body" {
			changed[k] = v
		}
	}
	return changed
}

// parseFields reads "key=value key=value flag". A value is JSON, or a word; a flag is true.
func parseFields(s string) (map[string]any, error) {
	fields := map[string]any{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		end := strings.IndexAny(s, "= ")
		if end < 0 || s[end] == ' ' {
			var flag string
			flag, s, _ = strings.Cut(s, " ")
			fields[flag] = true
			continue
		}
		var err error
		key := s[:end]
		if fields[key], s, err = parseValue(s[end+1:]); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return fields, nil
}

func parseValue(s string) (value any, rest string, err error) {
	if s == "" || s[0] == ' ' {
		return nil, "", errors.New(`no value; an empty one is ""`)
	}
	if strings.ContainsRune(`{["`, rune(s[0])) {
		d := json.NewDecoder(strings.NewReader(s))
		if err := d.Decode(&value); err != nil {
			return nil, "", err
		}
		return value, s[d.InputOffset():], nil
	}
	word, rest, _ := strings.Cut(s, " ")
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return n, rest, nil
	}
	if b, err := strconv.ParseBool(word); err == nil && len(word) > 1 {
		return b, rest, nil
	}
	return word, rest, nil
}
