package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// entry of runc's log in its JSON form. containerd shows the message of the last one of level error.
type entry struct {
	Level string    `json:"level"`
	Msg   string    `json:"msg"`
	Time  time.Time `json:"time"`
}

// report writes a failure where runc would: to its log file and to standard error.
func report(c command, failure error) {
	message := strings.ReplaceAll(failure.Error(), "\n", "; ")
	fmt.Fprintln(os.Stderr, "ms2m-runc: "+message)
	file := c.flags["log"]
	if file == "" {
		return
	}
	line := []byte(fmt.Sprintf("time=%q level=error msg=%q\n", time.Now().Format(time.RFC3339), message))
	if c.flags["log-format"] == "json" {
		line, _ = json.Marshal(entry{Level: "error", Msg: message, Time: time.Now()})
		line = append(line, '\n')
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.Write(line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ms2m-runc: writing log:", err)
	}
}

// lastError is the last error in a log of JSON entries, "" if there is none.
func lastError(file string) string {
	f, err := os.Open(file) // #nosec G304 -- given by the runtime
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // opened for reading
	last := ""
	for d := json.NewDecoder(f); ; {
		var e entry
		if d.Decode(&e) != nil {
			return last
		}
		if e.Level == "error" {
			last = strings.TrimSpace(e.Msg)
		}
	}
}
