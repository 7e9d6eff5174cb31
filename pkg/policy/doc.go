// Package policy turns the policy ConfigMap into a policy in force: strict decoding, defaults, validation, hot reload.
// A version that is refused stays without effect, visibly; the last good one stays in force.
package policy
