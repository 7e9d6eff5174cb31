//go:build tools

// Package runc pins the runc release that the nodes of the test cluster run.
package runc

import (
	_ "github.com/opencontainers/runc"
)
