// Package v4 has what the component Chart is told.
package v4

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// RepositoryOptsInput may be RepositoryOpts.
type RepositoryOptsInput pulumi.Input

// RepositoryOpts say where a chart is, and who asks for it.
type RepositoryOpts struct {
	CaFile, CertFile, KeyFile pulumi.AssetOrArchive
	Password, Repo, Username  *string
}

// PostRendererInput may be a PostRenderer.
type PostRendererInput pulumi.Input

// PostRenderer is a command that changes what a chart renders.
type PostRenderer struct {
	Args    []string
	Command string
}
