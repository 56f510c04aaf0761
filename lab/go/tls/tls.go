// Package tls maps hashicorp/terraform-provider-tls onto the tokens of the
// pulumi_tls SDK.
package tls

import (
	"github.com/hashicorp/terraform-provider-tls/shim"
	pf "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// Version is set by the linker to the version of the SDK that it serves.
var Version string

func res(file, name string) *tfbridge.ResourceInfo {
	return &tfbridge.ResourceInfo{Tok: tokens.Type("tls:index/" + file + ":" + name)}
}

func fn(name string) *tfbridge.DataSourceInfo {
	return &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember("tls:index/" + name + ":" + name)}
}

// Provider describes the bridged provider, for tfgen and for the plugin.
func Provider() tfbridge.ProviderInfo {
	return tfbridge.ProviderInfo{
		P:            pf.ShimProvider(shim.New()),
		Name:         "tls",
		Version:      Version,
		Description:  "A Pulumi package to create TLS resources in Pulumi programs.",
		License:      "Apache-2.0",
		Repository:   "https://github.com/pulumi/pulumi-tls",
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		Resources: map[string]*tfbridge.ResourceInfo{
			"tls_private_key":         res("privateKey", "PrivateKey"),
			"tls_self_signed_cert":    res("selfSignedCert", "SelfSignedCert"),
			"tls_cert_request":        res("certRequest", "CertRequest"),
			"tls_locally_signed_cert": res("locallySignedCert", "LocallySignedCert"),
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"tls_public_key":  fn("getPublicKey"),
			"tls_certificate": fn("getCertificate"),
		},
	}
}
