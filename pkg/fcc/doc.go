// Package fcc moves a container's checkpoint from node to node: Forensic Container Checkpointing through the local
// kubelet, the archive's delivery, and the ticket that entitles the runtime wrapper to one restore.
package fcc
