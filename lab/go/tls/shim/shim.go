// Package shim re-exports the constructor that upstream keeps in an internal
// package. Its import path lies below github.com/hashicorp/terraform-provider-tls,
// so the go tool allows the import although this is another module.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"

	tls "github.com/hashicorp/terraform-provider-tls/internal/provider"
)

// New returns the provider.
func New() provider.Provider { return tls.New() }
