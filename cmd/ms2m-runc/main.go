// Command ms2m-runc is the OCI runtime behind RuntimeClass ms2m: runc, with pods prepared for migration and containers
// restored from their checkpoint once. See package pkg/fcc/runtime.
package main

import (
	"os"

	"ms2m.dev/ms2m-descheduler/pkg/fcc/runtime"
)

func main() { os.Exit(runtime.Main(os.Args[1:])) }
