// Package runtime is the OCI runtime wrapper behind RuntimeClass ms2m. It stands between containerd's shim and runc:
//
//   - a sandbox's `create` gets the redirect of the broker's ports to the gate and loses MPTCP;
//   - a container's `create` gets CRIU's options and a seccomp rule against io_uring, the gate's also its folder;
//   - the `create` of a container with a restore ticket restores it once, or fails; it never starts the image before
//     the ticket is committed. The restored container is left paused, which the shim takes for created, and `start`
//     resumes it;
//   - a failed `checkpoint` reports CRIU's cause.
//
// Everything else replaces this process by runc with the same arguments.
package runtime
