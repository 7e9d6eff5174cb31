// Package cluster brings up a real Kubernetes on one Linux machine, for tests and demonstrations: etcd, control plane,
// CoreDNS and one to four nodes, each in namespaces of its own with kubelet, kube-proxy, containerd, runc and CRIU.
// Everything is authenticated and authorised as in production. README.md says how it is used.
//
// Up starts a cluster, Attach finds one that runs, Down takes either away with all that belongs to it: processes,
// namespaces, links, routes, cgroups, mounts, files.
package cluster
