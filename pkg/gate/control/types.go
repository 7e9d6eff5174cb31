package control

import "time"

// Mode of a gate. It is written to the gate's folder before a command is answered and survives the gate's crash.
type Mode string

// Modes.
const (
	// ModeOpen passes everything through and counts.
	ModeOpen Mode = "Open"
	// ModeHolding forwards no further delivery and waits until the app is between two messages.
	ModeHolding Mode = "Holding"
	// ModeHeld: the app is between two messages; its memory is the state after the last one.
	ModeHeld Mode = "Held"
	// ModeLogging forwards serially and appends each delivery to the log.
	ModeLogging Mode = "Logging"
	// ModeHandingOver: consumers cancelled at the broker, what had been delivered is forwarded and logged.
	ModeHandingOver Mode = "HandingOver"
	// ModeHandedOver: END is appended and confirmed; the source stays held and can be taken back.
	ModeHandedOver Mode = "HandedOver"
	// ModeFenced: superseded for good; connections of the app are cut and not accepted again.
	ModeFenced Mode = "Fenced"
	// ModeClosed accepts connections of the app but answers nothing: a target before its replay.
	ModeClosed Mode = "Closed"
	// ModeReplaying serves the log to a virtual session.
	ModeReplaying Mode = "Replaying"
	// ModeReplayed: END is reached and verified.
	ModeReplayed Mode = "Replayed"
)

// Command heads every request.
type Command struct {
	// Migration is the UID of the Migration.
	Migration string `json:"migration"`
	// Epoch of the command; see the package comment.
	Epoch int64 `json:"epoch"`
}

// HoldRequest asks for a cut.
type HoldRequest struct {
	Command
	// DrainMillis bounds the wait for the app to come between two messages; when it passes, the source is released by
	// the gate itself and the request fails with ReasonNotDrained.
	DrainMillis int64 `json:"drainMillis"`
	// ValidMillis is the life of the cut token once drained: when it passes without a release, the gate goes on by
	// itself, as if never held, and the token is void.
	ValidMillis int64 `json:"validMillis"`
	// Log is the secondary queue that a release will start; the gate declares it before it holds, so that a broker that
	// refuses it costs no pause.
	Log string `json:"log"`
}

// Cut is the answer to a hold: proof that the app stands between two messages until the token expires.
type Cut struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	// HeldSince is when the last acknowledgement was drained.
	HeldSince time.Time `json:"heldSince"`
}

// ReleaseRequest ends the hold of a cut. With a Log the gate logs from here on; it fails with ReasonTokenExpired when
// the token is void, and then the archive taken under it is void, too.
type ReleaseRequest struct {
	Command
	Token string `json:"token"`
	// Log is the secondary queue that the gate declares and appends to.
	Log string `json:"log"`
}

// ReplayRequest lets a target's gate serve the log to its app.
type ReplayRequest struct {
	Command
	Log string `json:"log"`
}

// Status of a gate. Counters are since the cut of the named migration.
type Status struct {
	Mode      Mode   `json:"mode"`
	Migration string `json:"migration,omitempty"`
	Epoch     int64  `json:"epoch,omitempty"`
	// Broken says why the migration cannot end exactly any more and must roll back; empty when all is well.
	Broken string `json:"broken,omitempty"`
	// Refusals says, in words for people, what in the app's present use of AMQP cannot be migrated exactly.
	Refusals []string `json:"refusals,omitempty"`
	// Trouble says, in words for people, why the app's last connection did not come through to the broker; empty when
	// it did.
	Trouble string `json:"trouble,omitempty"`
	// Lambda and Mu are the arrival and the service rate, messages per second.
	Lambda float64 `json:"lambda"`
	Mu     float64 `json:"mu"`
	// Connections and Consumers of the app.
	Connections int `json:"connections"`
	Consumers   int `json:"consumers"`
	// SessionConsumers is, at the target, the number of consumers that the source had at the hand-over; -1 before END.
	SessionConsumers int `json:"sessionConsumers"`
	// Unacked deliveries at the app.
	Unacked int `json:"unacked"`
	// Waiting deliveries that the gate has and the app has not.
	Waiting int `json:"waiting"`
	// Forwarded deliveries in the life of the gate.
	Forwarded uint64 `json:"forwarded"`
	// Logged entries, confirmed by the broker.
	Logged uint64 `json:"logged"`
	// Replayed entries that the app has settled.
	Replayed uint64 `json:"replayed"`
	// Outputs confirmed (source) or suppressed (target).
	Outputs uint64 `json:"outputs"`
	// HeldSince is when the present or last hold was drained; ResumedAt when processing went on after it.
	HeldSince *time.Time `json:"heldSince,omitempty"`
	ResumedAt *time.Time `json:"resumedAt,omitempty"`
}

// Reason of a refused command.
type Reason string

// Reasons.
const (
	ReasonNotDrained   Reason = "NotDrained"   // the app did not come between two messages in time
	ReasonTokenExpired Reason = "TokenExpired" // the cut token is void
	ReasonSuperseded   Reason = "Superseded"   // epoch lower than the last obeyed, or another migration is under way
	ReasonWrongMode    Reason = "WrongMode"    // the command makes no sense in the gate's mode
	ReasonRefused      Reason = "Refused"      // the session uses what cannot be migrated exactly; see Status.Refusals
	ReasonBroken       Reason = "Broken"       // the migration cannot end exactly any more; see Status.Broken
	ReasonBroker       Reason = "Broker"       // the broker could not be reached or refused
	ReasonNotReplayed  Reason = "NotReplayed"  // commit asked of a target that has not verified END
	ReasonBadRequest   Reason = "BadRequest"
)

// Error is a refused command.
type Error struct {
	Reason  Reason `json:"reason"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Message }
