// Package clients holds what AMQP client libraries must see the same through the gate as without it: the cases, written
// once in cases/*.txt, and for each library a program that carries them out. See README.md.
package clients
