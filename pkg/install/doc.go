// Package install gives a node what migrations need there, and takes it away again: the runtime wrapper, CRIU where the
// node has none, and the runtime handler ms2m in the configuration of containerd or CRI-O. What the node has of its own
// stays as it is, and the container runtime is restarted only when it does not know the handler yet.
package install
