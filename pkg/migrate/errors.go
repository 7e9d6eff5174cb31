package migrate

import (
	"errors"
	"fmt"
	"net/http"

	"ms2m.dev/ms2m-descheduler/pkg/agent/client"
	"ms2m.dev/ms2m-descheduler/pkg/gate/control"
)

// failure is an error that trying again will not mend: before the commit it rolls the migration back.
type failure struct {
	reason string // CamelCase, for conditions and events
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure with a reason for conditions and events.
func fail(reason, format string, args ...any) error {
	return &failure{reason: reason, err: fmt.Errorf(format, args...)}
}

// asFailure makes any error a failure.
func asFailure(reason string, err error) error {
	var failed *failure
	if errors.As(err, &failed) {
		return failed
	}
	return &failure{reason: reason, err: err}
}

// agentFailure turns a refusal of an agent into a failure when the same request could not succeed later.
func agentFailure(doing string, err error) error {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Code < http.StatusInternalServerError {
		return fail("AgentRefused", "%s: %s", doing, refused.Message)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// gateFailure turns a refusal of a gate into a failure when the same command could not succeed later. What could (the
// gate not reached, the broker not reached) stays an ordinary error and is tried again until the deadline.
func gateFailure(doing string, err error) error {
	if err == nil {
		return nil
	}
	var refused *control.Error
	if errors.As(err, &refused) && refused.Reason != control.ReasonBroker {
		return fail("Gate"+string(refused.Reason), "%s: %s", doing, refused.Message)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
