// Package amqp is the gate's codec of AMQP 0-9-1: it reads frames without copying them, decodes the few methods that
// the gate must understand, and builds the few that it sends itself. Everything else passes as the bytes it came in.
//
// Numbers and layouts are those of the specification with RabbitMQ's extensions (confirm, basic.nack, exchange.bind).
package amqp
