"""Overrule: `pulumi up --refresh` puts an object back, whoever has changed it meanwhile."""

import copy

import pulumi
import pulumi_kubernetes as k8s


def overrule(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """Have Pulumi take back the fields of an object that somebody else has written.

    A field belongs to who wrote it last, with `kubectl` for example. Without the annotation Pulumi stops there
    ("field manager conflict"). It is not one of the pods' own, so it restarts nothing.
    """
    metadata = args.props.get("metadata")
    if not isinstance(metadata, k8s.meta.v1.ObjectMetaArgs):  # a component, or a Helm release
        return None
    forced = copy.copy(metadata)  # several resources may share the one given
    annotations = pulumi.Output.from_input(metadata.annotations or {})
    forced.annotations = annotations.apply(lambda given: {**given, "pulumi.com/patchForce": "true"})
    return pulumi.ResourceTransformationResult({**args.props, "metadata": forced}, args.opts)
