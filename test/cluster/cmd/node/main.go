// Command node is PID 1 of a node of the test cluster, and the door into one. The harness runs it; people use
// "cluster exec".
package main

import (
	"fmt"
	"os"
	"strconv"

	"ms2m.dev/ms2m-descheduler/test/cluster/node"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	if len(args) < 2 {
		return 0, fmt.Errorf("want init SPEC or enter SPEC PID COMMAND")
	}
	switch command, spec := args[0], args[1]; {
	case command == "init":
		return 0, node.Init(spec, func(spec string) []string { return []string{"node", "boot", spec} })
	case command == "boot":
		return 0, node.Boot(spec)
	case command == "enter" && len(args) > 3:
		pid, err := strconv.Atoi(args[2])
		if err != nil {
			return 0, err
		}
		return node.Enter(spec, pid, args[3:])
	default:
		return 0, fmt.Errorf("unknown command %q", command)
	}
}
