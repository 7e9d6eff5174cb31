// Package plugin runs the descheduler as a library, with its plugins and its policies as they are, and turns the
// evictions of migratable pods into Migrations.
//
// Two decorations do it. The clientset that the descheduler's pod evictor uses asks for a Migration where the eviction
// would be posted, and answers as KubeVirt's webhook does: 429 "Eviction triggered evacuation". The descheduler knows
// this answer; it counts the pod as an eviction in the background, against its limits and in its metrics, until the pod
// is gone. The handle that every plugin gets shows moves under way as done, so that cycles do not choose more pods than
// needed. A dry run uses a fake clientset of the descheduler's own, so it never reaches the first decoration.
//
// All knowledge of the descheduler's Go API, which makes no promise of stability, is in this package.
package plugin
