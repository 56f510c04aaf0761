// Command pulumi-resource-tls is terraform-provider-tls as a Pulumi plugin.
package main

import (
	"context"
	_ "embed"

	"lab/tls"

	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
)

//go:generate go run ../pulumi-tfgen-tls schema --out .

//go:embed schema.json
var schema []byte

func main() {
	pf.Main(context.Background(), "tls", tls.Provider(), pf.ProviderMetadata{PackageSchema: schema})
}
