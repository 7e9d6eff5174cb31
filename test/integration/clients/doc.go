// Package clients lets unmodified client libraries do with a real RabbitMQ what apps do, direct and through a real gate,
// and requires that they see the same, and what they should. It needs root.
package clients
