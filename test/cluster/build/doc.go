// Package build makes what a cluster is started from: binaries of Kubernetes and friends from pinned Go modules, root
// file systems from Debian packages, and container images. Each artifact is kept in a cache under a hash of everything
// that went into it, so that a second start builds nothing.
package build
