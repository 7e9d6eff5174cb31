// Package control is the control API of the gate: what an agent may ask of a gate of its node, over the unix socket in
// the gate's folder. Every command is idempotent and carries the migration and an epoch; a gate refuses commands of an
// epoch lower than the last it obeyed, so that a delayed command cannot wake a gate that has been superseded.
//
// The life of a source's gate is Open, Holding, Held, Logging, HandingOver, HandedOver, Fenced; that of a target's gate
// is Closed, Replaying, Replayed, Open. Resume leads a source from any mode but Fenced back to Open.
package control
