// Command coredns is CoreDNS with only the plugins that the test cluster's Corefile names: a small binary with few
// dependencies, built quickly.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/ready"

	"github.com/coredns/coredns/coremain"
)

// The order is the order in which plugins see a query.
func init() {
	dnsserver.Directives = []string{"health", "ready", "log", "errors", "cache", "loadbalance", "kubernetes"}
}

func main() { coremain.Run() }
