package clients

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// random parts of what a broker says, and what stands for them.
var random = []struct {
	pattern *regexp.Regexp
	stand   string
}{
	{regexp.MustCompile(`amq\.gen-[\w-]+`), "amq.gen-*"},
	{regexp.MustCompile(`amq\.rabbitmq\.reply-to\.[\w.+/=-]+`), "amq.rabbitmq.reply-to.*"},
	// Tags of consumers that were given none, by the broker or a library.
	{regexp.MustCompile(`^(amq\.ctag|ctag).*`), "ctag*"},
}

// mark of names in cases that are the run's own.
const mark = "$"

// encode the steps of a case for a program, with names that begin with the prefix.
func (c Case) encode(prefix string) ([]byte, error) {
	steps := make([]map[string]any, len(c.Steps))
	for i, s := range c.Steps {
		steps[i] = map[string]any{"op": s.Op, Fails: s.Want[Fails] == true}
		for k, v := range s.Args {
			steps[i][k] = v
		}
	}
	b, err := json.Marshal(steps)
	return []byte(strings.ReplaceAll(string(b), mark, prefix)), err
}

// decode the results of a case's steps as any run would have them.
func decode(results []byte, prefix string) ([]Result, error) {
	var decoded []Result
	err := json.Unmarshal([]byte(strings.ReplaceAll(string(results), prefix, mark)), &decoded)
	if err != nil {
		return nil, fmt.Errorf("decoding results %s: %w", results, err)
	}
	for _, r := range decoded {
		for k, v := range r {
			r[k] = normalise(v)
		}
	}
	return decoded, nil
}

func normalise(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			value[k] = normalise(v)
		}
		// When a message was dead-lettered.
		if _, ok := value["reason"]; ok && value["time"] != nil {
			value["time"] = "*"
		}
	case []any:
		for i, v := range value {
			value[i] = normalise(v)
		}
	case string:
		for _, r := range random {
			value = r.pattern.ReplaceAllString(value, r.stand)
		}
		return value
	}
	return value
}
