// Package placement tells which node a pod is to move to: the one that the scheduler would choose if the pod's present
// place were free and the moves under way were done. It runs the filters and scores of the scheduler itself, with its
// default profile, on a snapshot made for the question.
//
// Two of the scheduler's plugins are left out: DefaultPreemption, since a move evicts nobody, and DynamicResources, since
// pods with devices are not migrated.
package placement
