// Package redirect tests that the runtime wrapper leads a pod's connections to its gate: with real network namespaces, the
// real wrapper and gate, and a real RabbitMQ, over IPv4 and IPv6. It needs root.
package redirect
