package runtime

import (
	"fmt"
	"strings"
)

// command is one call of runc's command line, as containerd's shim and CRI-O make it.
type command struct {
	// global are the flags before the subcommand, as given.
	global []string
	// name of the subcommand, empty for a call without one, such as `runc --version`.
	name string
	// flags of the subcommand and of runc itself, without dashes; those without a value are "".
	flags map[string]string
	// id of the container, the last argument.
	id string
}

// valued are runc's flags that take a value, which may follow as the next argument.
var valued = map[string]bool{
	"root": true, "log": true, "log-format": true, "criu": true, "rootless": false,
	"bundle": true, "b": true, "pid-file": true, "console-socket": true, "pidfd-socket": true, "preserve-fds": true,
	"image-path": true, "work-path": true, "parent-path": true, "status-fd": true, "page-server": true,
	"manage-cgroups-mode": true, "empty-ns": true, "lsm-profile": true, "lsm-mount-context": true,
}

// parse splits the arguments after the program's name.
func parse(args []string) command {
	c := command{flags: map[string]string{}}
	rest := c.takeFlags(args)
	c.global = args[:len(args)-len(rest)]
	if len(rest) == 0 {
		return c
	}
	c.name = rest[0]
	if rest = c.takeFlags(rest[1:]); len(rest) > 0 {
		c.id = rest[0]
	}
	return c
}

// takeFlags consumes the flags at the front of args.
func (c *command) takeFlags(args []string) []string {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && len(args[0]) > 1 {
		flag, value, given := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
		args = args[1:]
		if !given && valued[flag] && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		c.flags[flag] = value
	}
	return args
}

// bundle of a create.
func (c *command) bundle() (string, error) {
	for _, flag := range []string{"bundle", "b"} {
		if b := c.flags[flag]; b != "" {
			return b, nil
		}
	}
	return "", fmt.Errorf("reading arguments of %s: no --bundle", c.name)
}

// runc's arguments for another subcommand under the same global flags.
func (c *command) with(args ...string) []string {
	return append(append([]string{}, c.global...), args...)
}

// forRestore are the arguments of the restore that stands in for a create.
func (c *command) forRestore(bundle, images, work string) ([]string, error) {
	args := []string{"restore", "--detach", "--no-subreaper", "--bundle", bundle, "--image-path", images, "--work-path", work}
	for _, flag := range []string{"pid-file", "console-socket"} {
		if v := c.flags[flag]; v != "" {
			args = append(args, "--"+flag, v)
		}
	}
	if _, ok := c.flags["no-pivot"]; ok {
		args = append(args, "--no-pivot")
	}
	for _, flag := range []string{"pidfd-socket", "preserve-fds"} {
		if v := c.flags[flag]; v != "" && v != "0" {
			return nil, fmt.Errorf("restoring container: runc cannot restore with --%s", flag)
		}
	}
	return c.with(append(args, c.id)...), nil
}
