// Package fcc holds the ticket that entitles the runtime wrapper to restore one container once from a checkpoint made
// by the kubelet (Forensic Container Checkpointing), and the store that keeps tickets on the node.
//
// Its parts, in the order in which a checkpoint meets them: package kubelet asks for the archive, package delivery
// carries it from agent to agent, package archive checks and unpacks it, package runtime restores it.
package fcc
