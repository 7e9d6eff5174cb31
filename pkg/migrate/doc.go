// Package migrate is the engine: it moves one pod per Migration, as an ordered list of steps.
//
// A strategy is a list of steps, read from top to bottom (strategy.go). Each step has a do and an undo, each safe to run
// twice, in a file of its own. The conditions of the Migration's status are the only memory: next, a pure function,
// decides from them what to do, so that a restarted controller goes on where the old one stopped. The intent of a step is
// written before its side effects (condition Unknown), the observation after them (condition True).
//
// One write decides everything: either the condition Committed or the condition RollingBack, whichever the API server
// accepts first, since both are written by resource version. Before it a failure undoes the steps from the bottom up;
// after the commit there is only forward.
package migrate
