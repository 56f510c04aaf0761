"""Overrule: Pulumi takes back what somebody has changed of the program's own objects, and takes over nobody else's.

Pulumi creates by server-side apply, which changes an object that is there already as if it were its own. What the
stack's state has is the stack's: Pulumi updates it. What it would create is looked for first.
"""

import asyncio
import copy
import time
from collections.abc import Mapping
from threading import Lock
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from kubernetes import client

from components.mesh.istio import OURS
from components.mesh.istiod_away import try_again
from dcmesh.kube.api import ERRORS, SECONDS, connect, why

MADE_BY = "dcmesh/stack"
"""Annotation that tells of which stack an object is: what a killed `up` has made may not be in the state."""

PAUSES = (1, 2, 4, 8)
"""Seconds before an API server is asked again that did not answer: it may be restarted just now."""

FINAL = (400, 403)
"""What it answers to a request that will not do better another time."""

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""What to accept from an API server, so that it sends nothing else of an object: it may be a Secret."""


def is_of_stack(metadata: Mapping[str, Any], stack: str) -> bool:
    """Tell whether an object is a stack's, as far as it says so itself: made by it, or handed over to dcmesh."""
    made_by = (metadata.get("annotations") or {}).get(MADE_BY)
    return made_by == stack or OURS.items() <= (metadata.get("labels") or {}).items()


def resource_of(kind: str) -> str:
    """Return by what name the API knows the objects of a kind, as Kubernetes itself guesses it."""
    name = kind.lower()
    if name.endswith("gateway"):
        return f"{name}s"
    return f"{name}es" if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


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
        self._api: client.ApiClient | None = None
        self._lock = Lock()
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
            await asyncio.to_thread(self._require_new, inputs["kind"], inputs["apiVersion"], metadata, kubeconfig)

    def _require_new(self, kind: str, version: str, metadata: Mapping[str, Any], kubeconfig: str) -> None:
        """Look whether an object that is to be created is there already, and somebody else's.

        Raises:
            pulumi.RunError: it is, or the cluster does not say.
        """
        resource, name, namespace = resource_of(kind), metadata["name"], metadata.get("namespace")
        shown = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        try:
            found = self._ask(kubeconfig, version, resource, namespace, name)
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

    def _ask(
        self, kubeconfig: str, version: str, resource: str, namespace: str | None, name: str
    ) -> Mapping[str, Any] | None:
        """Return the metadata of an object; None if it is not there. What may pass is asked again, not in a preview."""
        for pause in () if pulumi.runtime.is_dry_run() else PAUSES:
            try:
                return self._read(kubeconfig, version, resource, namespace, name)
            except ERRORS as error:
                if isinstance(error, client.ApiException) and error.status in FINAL:
                    raise
            self._api = None  # its credentials may have run out
            time.sleep(pause)
        return self._read(kubeconfig, version, resource, namespace, name)

    def _read(
        self, kubeconfig: str, version: str, resource: str, namespace: str | None, name: str
    ) -> Mapping[str, Any] | None:
        """Return the metadata of an object; None if it is not there."""
        with self._lock:  # credentials may be fetched by a program: once is enough
            api = self._api = self._api or connect(kubeconfig)
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        within = f"/namespaces/{namespace}" if namespace else ""
        try:
            found = api.call_api(
                f"{root}{within}/{resource}/{name}",
                "GET",
                header_params={"Accept": METADATA_ONLY},
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        metadata: Mapping[str, Any] = found["metadata"]
        return metadata
