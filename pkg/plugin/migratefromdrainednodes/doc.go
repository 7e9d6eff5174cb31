// Package migratefromdrainednodes is the plugin MigrateFromDrainedNodes, which migrates pods away from nodes that are being
// emptied and reports those that cannot be migrated. Its folder has the shape of the descheduler's own plugins.
package migratefromdrainednodes
