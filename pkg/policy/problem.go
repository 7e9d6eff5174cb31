package policy

import (
	"fmt"
	"strings"
)

// Problem is what is wrong at one place of a policy document.
type Problem struct {
	// Key of the ConfigMap that holds the document.
	Key string
	// Line in the document, from 1; 0 when no line is to blame.
	Line int
	// Field path in the document, as "profiles[0].plugins"; empty for the document as a whole.
	Field   string
	Message string
}

func (p Problem) Error() string {
	at := p.Key
	if p.Line > 0 {
		at = fmt.Sprintf("%s:%d", p.Key, p.Line)
	}
	if p.Field != "" {
		at += ": " + p.Field
	}
	return at + ": " + p.Message
}

// Problems are all that was found wrong with a policy.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// orNil keeps an empty list from becoming an error that is not nil.
func (ps Problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
