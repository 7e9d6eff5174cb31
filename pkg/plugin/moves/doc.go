// Package moves is the one way by which evictions become Migrations, and the view of those under way.
package moves
