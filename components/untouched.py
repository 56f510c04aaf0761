"""Untouched: a site that is gone stays in the state as it is."""

import pulumi


def untouched(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    """Have Pulumi change nothing of a resource, whatever the program says of it by now."""
    ignoring = pulumi.ResourceOptions(ignore_changes=["*"])
    return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, ignoring))
