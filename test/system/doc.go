// Package system is the product at work: installed on a real cluster (package cluster), with the ledger as the service
// that is migrated, watched and judged. The demo, the benchmark and the integration tests use it.
package system
