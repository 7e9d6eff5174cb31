// Package webhook prepares migratable pods when they are created, and refuses, with the reason, those that could never
// be migrated.
package webhook
