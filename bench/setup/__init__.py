"""Set-up: `pulumi up`, compared with the same steps one after another by hand."""
