"""Set-up: `pulumi up`, beside the same steps one after another by hand."""
