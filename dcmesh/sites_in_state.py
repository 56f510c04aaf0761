"""What the stack's state has of each site: its cluster, its gateway, and the objects in them.

The state has this from the first resource in the cluster on. An `up` that failed half-way leaves it too, though perhaps
no outputs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dcmesh.config.environment import unreadable
from dcmesh.model import ownership_marks
from dcmesh.model import settings as model
from dcmesh.model.component_names import export_name
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.stacks import read_doomed, read_resources, stack_name


@dataclass(frozen=True, kw_only=True)
class SiteInState:
    """What the state has of a site's cluster.

    Attributes:
        identity: the cluster's UID, or the id of the Command that made it; None if dcmesh 0.1.0 left the state.
        kubeconfig: contents of a kubeconfig with this context only. Secret.
        made_by: what made the cluster, `k3d` or `commands`; None if it existed before.
        doomed: whether the next `up` deletes objects in it, as part of a replacement that failed.
        gateway: namespace of its gateway; None if it has none.
        objects: all objects of the stack, by URN: namespace (empty if none) and name.
        stacks: the stacks that the objects name as theirs. If the stack was renamed this includes its old name.
    """

    identity: str | None
    kubeconfig: str
    made_by: str | None = None
    doomed: bool = False
    gateway: str | None = None
    objects: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    stacks: frozenset[str] = frozenset()


def read_sites_in_state(settings: model.Settings, project: str, stack: str) -> dict[str, SiteInState]:
    """Return what the stack's state has of each site's cluster; a site that was never there is left out.

    Raises:
        ConfigError: the state cannot be read.
    """
    whole = stack_name(project, stack)
    try:
        resources = read_resources(whole)
        known = {urn.rpartition("::")[2]: (urn, resource["outputs"]) for urn, resource in resources.items()}
        found = {site.name: known.get(f"{site.name}-cluster-kubernetes") for site in settings.sites}
        providers = {site: provider for site, provider in found.items() if provider}
        unnamed = any("clusterIdentifier" not in outputs for _, outputs in providers.values())
        doomed = read_doomed(whole) if unnamed else set()
    except LookupError as error:
        raise unreadable(whole, error) from None
    objects = {urn: place for urn, resource in resources.items() if (place := _place(resource["outputs"]))}
    stacks = frozenset(filter(None, (_stack(resource["outputs"]) for resource in resources.values())))
    return {
        site: SiteInState(
            identity=outputs.get("clusterIdentifier"),
            kubeconfig=outputs["kubeconfig"],
            made_by=_made_by(known.get(f"{site}-cluster-cluster")),
            doomed=urn in doomed,
            gateway=_gateway(site, known),
            objects=objects,
            stacks=stacks,
        )
        for site, (urn, outputs) in providers.items()
    }


def is_begun(project: str, stack: str) -> bool:
    """Tell whether the stack's state has the cluster of any site, whatever sites the configuration names.

    Raises:
        ConfigError: the state cannot be read.
    """
    whole = stack_name(project, stack)
    try:
        return any(urn.endswith("-cluster-kubernetes") for urn in read_resources(whole))
    except LookupError as error:
        raise unreadable(whole, error) from None


def _made_by(made: tuple[str, Mapping[str, Any]] | None) -> str | None:
    """Return what made a cluster: the first word of the trigger that would replace it."""
    return str((made[1].get("triggers") or [""])[0]).partition(" ")[0] if made else None


def _place(outputs: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return namespace and name of an object in Kubernetes; None if it is something else, or cannot be read here."""
    match outputs.get("metadata"):
        case {"name": str(name), **rest}:
            return str(rest.get("namespace") or ""), name
    return None


def _stack(outputs: Mapping[str, Any]) -> str:
    """Return the stack that an object names as its own; empty if it names none."""
    match outputs.get("metadata"):
        case {"annotations": {ownership_marks.MADE_BY: str(stack)}}:
            return stack
    return ""


def _gateway(site: str, known: Mapping[str, tuple[str, Any]]) -> str | None:
    """Return the namespace of a site's gateway.

    If an `up` has finished, the outputs have the one that importers know. Otherwise the gateway's Service in the state
    shows what an `up` that failed half-way has made.
    """
    (outputs,) = [outputs for urn, outputs in known.values() if "::pulumi:pulumi:Stack::" in urn] or [{}]
    told = outputs.get("sites", {}).get(site, {}).get("gateway")
    services = sorted(name for name in known if re.fullmatch(rf"{re.escape(site)}-gateway(\..*)?-service", name))
    there = [known[name][1]["metadata"]["namespace"] for name in services]
    return told["namespace"] if told and told["namespace"] in there else next(iter(there), None)


def gateway_namespace(site: model.Site, known: SiteInState | None) -> str:
    """Return the namespace of a site's gateway: the configured one, else where it is, else the default."""
    return site.gateway.namespace or (known and known.gateway) or GATEWAY_NAMESPACE


def meshed_namespaces(site: str, known: SiteInState | None) -> frozenset[str]:
    """Return the namespaces of a site in which, at the last `up`, exports or imports needed sidecars.

    While the export's PeerAuthentication exists, pods with a sidecar refuse pods without one. Pulumi deletes it last.
    """
    exports = re.compile(rf"{re.escape(export_name(site, ''))}.*-peerauthentication-.*-strict")
    imports = re.compile(rf"{re.escape(site)}-imports\..*-sidecar")
    named = ((urn.rpartition("::")[2], namespace) for urn, (namespace, _) in (known.objects if known else {}).items())
    return frozenset(namespace for name, namespace in named if exports.fullmatch(name) or imports.fullmatch(name))
