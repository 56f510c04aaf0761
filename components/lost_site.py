"""A site that is lost: its resources stay in the state as they are."""

import pulumi


def untouched(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
    """Have Pulumi leave a resource unchanged, whatever the program now says of it.

    A Command that is new, as after an update of dcmesh, is put into the state and runs nothing.
    """
    ignoring = pulumi.ResourceOptions(ignore_changes=["*"])
    props = {**args.props, "create": ":"} if args.type_ == "command:local:Command" else args.props
    return pulumi.ResourceTransformationResult(props, pulumi.ResourceOptions.merge(args.opts, ignoring))
