//go:build tools

// Package etcd pins the etcd release that the test cluster keeps its state in.
package etcd

import (
	_ "go.etcd.io/etcd/server/v3"
)
