// Package chain is the pure part of the ledger, a workload whose state tells exactly what was done to it: a hash chain
// over every message applied, in order. Two ledgers have equal chains only if they applied the same messages in the
// same order, each once; a producer that keeps its own chain can therefore judge a consumer.
package chain
