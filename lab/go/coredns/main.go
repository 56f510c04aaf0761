// Command coredns is CoreDNS with the plugins that a cluster's DNS needs.
package main

import (
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/template"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

// The order is that of CoreDNS's own plugin.cfg: it is the order in which plugins see a query.
func init() {
	dnsserver.Directives = []string{
		"reload", "ready", "health", "errors", "log", "cache", "template", "hosts", "kubernetes", "loop", "forward",
	}
}

func main() { coremain.Run() }
