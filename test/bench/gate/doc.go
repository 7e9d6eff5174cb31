// Package gate measures what the gate costs an app, against a direct connection in the same run: a real gate process, a
// real RabbitMQ and a real client library. docs/gate.md says what exactly is measured, and where it goes.
package gate
