"""Object ownership: Pulumi takes back what others have changed of the program's objects, and takes over nobody else's.

Pulumi creates by server-side apply, which changes an object that is there already as if it were its own. An object that
is in the stack's state belongs to the stack, and Pulumi updates it. Before it creates any other, it is looked for.
"""

import copy
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from dcmesh.kube.api import ERRORS, why
from dcmesh.kube.lookup import Lookup, resource_of
from dcmesh.model.ownership_marks import MADE_BY, OURS, is_of_stack

from .hook_thread_pool import in_hook_thread
from .mesh.istiod_unavailable import try_again


class Overrule:
    """What is done to all objects that the program makes in one cluster."""

    def __init__(
        self, site: str, kubeconfig: pulumi.Output[str], stack: str, held: Mapping[str, tuple[str, str]]
    ) -> None:
        """Begin with nothing looked at.

        Args:
            site: name of the site.
            kubeconfig: contents of its cluster's kubeconfig.
            stack: the stack, by its whole name.
            held: the objects that its state has, by URN: namespace (empty if none) and name.
        """
        self._site = site
        self._kubeconfig = kubeconfig
        self._stack = stack
        self._held = held
        self._lookup = Lookup()
        hook = pulumi.ResourceHook(
            f"{site}-not-there-yet", self._before_create, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        self._hooks = pulumi.ResourceHookBinding(before_create=[hook])
        self._of_istio = pulumi.ResourceHookBinding(
            before_create=[hook], on_error=[pulumi.ErrorHook(f"{site}-istiod-away", try_again)]
        )

    def __call__(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Have Pulumi take back the fields of an object that somebody else has written, and create none that is there.

        A field belongs to who wrote it last, with `kubectl` for example. Without the annotation Pulumi stops there
        ("field manager conflict"). It is not one of the pods' own, so it restarts nothing.
        """
        metadata = args.props.get("metadata")
        if not isinstance(metadata, k8s.meta.v1.ObjectMetaArgs):  # a component, a Helm release, or part of an object
            return None
        own = copy.copy(metadata)  # several resources may share the one given
        annotations = pulumi.Output.from_input(metadata.annotations or {})
        marks = {"pulumi.com/patchForce": "true", MADE_BY: self._stack}
        own.annotations = annotations.apply(lambda given: {**given, **marks})
        hooks = self._of_istio if "istio.io/" in str(args.props.get("api_version")) else self._hooks
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(hooks=hooks))
        return pulumi.ResourceTransformationResult({**args.props, "metadata": own}, opts)

    async def _before_create(self, args: pulumi.ResourceHookArgs) -> None:
        inputs = args.new_inputs or {}
        kubeconfig = await self._kubeconfig.future()
        # Something in it may be secret, and so all of it. What is unknown is None, in a preview.
        metadata = await pulumi.Output.from_input(inputs.get("metadata")).future()
        if not (kubeconfig and metadata and metadata.get("name")):
            return
        # What is replaced is created too. An `up` has deleted it by then; in a preview it is still there.
        old = self._held.get(args.urn)
        if not (pulumi.runtime.is_dry_run() and old == (metadata.get("namespace") or "", metadata["name"])):
            await in_hook_thread(self._require_new, inputs["kind"], inputs["apiVersion"], metadata, kubeconfig)

    def _require_new(self, kind: str, version: str, metadata: Mapping[str, Any], kubeconfig: str) -> None:
        """Look whether an object that is to be created is there already, and somebody else's.

        Raises:
            pulumi.RunError: it is, or the cluster does not say.
        """
        resource, name, namespace = resource_of(kind), metadata["name"], metadata.get("namespace")
        shown = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        try:
            found = self._lookup.metadata(
                kubeconfig, version, kind, namespace, name, patient=not pulumi.runtime.is_dry_run()
            )
        except ERRORS as error:
            if pulumi.runtime.is_dry_run():  # which may be of a cluster that is not there just now
                return
            raise pulumi.RunError(f"{self._site}: {shown} cannot be looked for: {why(error)}") from None
        if found is None or is_of_stack(found, self._stack):
            return
        ((key, value),) = OURS.items()
        group = version.rpartition("/")[0]
        of = f"{resource}.{group}" if group else resource
        where = f" --namespace {namespace}" if namespace else ""
        raise pulumi.RunError(
            f"{self._site}: {shown} is there already, and this stack has not made it: it was left as it is. Rename or "
            f"delete it. If it is to be this stack's, to be changed and by `pulumi destroy` deleted: "
            f"`kubectl label {of} {name}{where} {key}={value}`"
        )
