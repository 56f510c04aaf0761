"""A site that is lost: its resources stay in the state as they are.

`Settings.lost` says which site that is. Preflight does not look at it, and its Kubernetes provider skips what it cannot
reach.
"""

import pulumi


def untouched(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    """Have Pulumi leave a resource unchanged, whatever the program now says of it.

    A Command that is new, as after an update of dcmesh, is put into the state and runs nothing.
    """
    ignoring = pulumi.ResourceOptions(ignore_changes=["*"])
    props = {**args.props, "create": ":"} if args.type_ == "command:local:Command" else args.props
    return pulumi.ResourceTransformationResult(props, pulumi.ResourceOptions.merge(args.opts, ignoring))
