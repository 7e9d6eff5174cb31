package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Judge the results of a case: each must hold what its step wants, and be the same through the gate as direct.
func (c Case) Judge(direct, gate []Result) error {
	for i, s := range c.Steps {
		if i >= len(direct) || i >= len(gate) {
			return fmt.Errorf("%s: %s: not reached: %d steps direct, %d through the gate", s.Place, s.Op, len(direct), len(gate))
		}
		err := errors.Join(s.judge("direct", direct[i]), s.judge("through the gate", gate[i]))
		if err == nil && !reflect.DeepEqual(direct[i], gate[i]) {
			err = fmt.Errorf("direct %s, through the gate %s", text(direct[i]), text(gate[i]))
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", s.Place, s.Op, err)
		}
	}
	return nil
}

func (s Step) judge(way string, got Result) error {
	want := map[string]any{Fails: nil}
	for k, v := range s.Want {
		want[k] = v
	}
	if !holds(want, map[string]any(got)) {
		return fmt.Errorf("%s %s, want %s", way, text(got), text(s.Want))
	}
	return nil
}

// holds tells whether all that is wanted is in got. Nil is wanted when there must be nothing.
func holds(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		for k, v := range want {
			ok = ok && holds(v, fields[k])
		}
		return ok
	case []any:
		list, ok := got.([]any)
		ok = ok && len(list) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = holds(want[i], list[i])
		}
		return ok
	default:
		return want == got
	}
}

func text(r Result) string {
	b, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
