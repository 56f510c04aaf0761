// Command pulumi-tfgen-tls writes the Pulumi schema of terraform-provider-tls.
package main

import (
	"lab/tls"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"
)

func main() { tfgen.Main("tls", tls.Provider()) }
