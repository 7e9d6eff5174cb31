// Package node is what runs inside a node of the test cluster: its PID 1, which lays out the node's root, starts
// containerd, kubelet and kube-proxy and reaps, and the way for commands into a running node.
package node
