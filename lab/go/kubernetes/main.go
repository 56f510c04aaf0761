// Command pulumi-resource-kubernetes is Pulumi's own Kubernetes provider.
package main

import (
	"bytes"
	_ "embed"
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:generate go mod download github.com/pulumi/pulumi-kubernetes/provider/v4
//go:generate sh -c "cp $(go list -m -f {{.Dir}} github.com/pulumi/pulumi-kubernetes/provider/v4)/cmd/pulumi-resource-kubernetes/*.json ."

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

// A released schema has the version in it, the one in the source does not.
func versioned(schema []byte) []byte {
	return bytes.Replace(schema, []byte("{"), fmt.Appendf(nil, "{\n    \"version\": %q,", version.Version), 1)
}

func main() { provider.Serve("kubernetes", version.Version, versioned(schema), terraformMapping) }
