// Package migrateunderload is the plugin MigrateUnderLoad, which relieves nodes above thresholds by the migrations that
// cost least. Its folder has the shape of the descheduler's own plugins.
//
// What to move is chosen by pure functions: plan (plan.go) over the set cover in cover.go, with the costs of cost.go.
// Where the loads come from is in usage.go; which nodes have been too full, and left alone, for long enough in calm.go.
package migrateunderload
