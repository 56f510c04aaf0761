"""Identity: by what a cluster is known again, and what the stack's state has of each site: its cluster, its gateway.

An existing cluster is known by the UID of its namespace kube-system, which no other has. The state has it as the
provider's `clusterIdentifier`: whatever else of a kubeconfig changes, the provider then replaces nothing. It is there
from the first resource in the cluster on: an `up` that failed half-way leaves it too, and may leave no outputs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dcmesh.config.environment import unreadable
from dcmesh.config.errors import Finding
from dcmesh.model import ownership
from dcmesh.model import settings as model
from dcmesh.model.gateway import GATEWAY_NAMESPACE
from dcmesh.stacks import read_doomed, read_resources, stack_name

MOVING = 'docs/production.md, "Another cluster"'
STUCK = 'docs/production.md, "A replacement that is stuck"'


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the state has of a site's cluster.

    Attributes:
        identity: the UID; of a cluster that the program made, the id of the Command; None if dcmesh 0.1.0 left it.
        kubeconfig: contents of a kubeconfig that has its context alone. Secret.
        made_by: what made the cluster, `k3d` or `commands`; None if it was there before.
        doomed: whether the next `up` deletes objects in it, as part of a replacement that failed.
        gateway: namespace of its gateway; None if it has none.
        objects: the objects of all of the stack, by URN: namespace (empty if none) and name.
        stacks: the stacks of which they say that they are: a stack that was renamed has another name there.
    """

    identity: str | None
    kubeconfig: str
    made_by: str | None = None
    doomed: bool = False
    gateway: str | None = None
    objects: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    stacks: frozenset[str] = frozenset()


def read_held(settings: model.Settings, project: str, stack: str) -> dict[str, Held]:
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
        site: Held(
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


def _made_by(made: tuple[str, Mapping[str, Any]] | None) -> str | None:
    """Return the first word of what a change would replace a cluster for: that is what makes it."""
    return str((made[1].get("triggers") or [""])[0]).partition(" ")[0] if made else None


def _place(outputs: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return namespace and name of an object in Kubernetes; None if it is none, or cannot be read here."""
    match outputs.get("metadata"):
        case {"name": str(name), **rest}:
            return str(rest.get("namespace") or ""), name
    return None


def _stack(outputs: Mapping[str, Any]) -> str:
    """Return of which stack an object says that it is; empty if of none."""
    match outputs.get("metadata"):
        case {"annotations": {ownership.MADE_BY: str(stack)}}:
            return stack
    return ""


def _gateway(site: str, known: Mapping[str, tuple[str, Any]]) -> str | None:
    """Return the namespace of a site's gateway.

    The outputs tell of the one that importers know, if an `up` has come to its end. Else the state has it by its
    Service: what an `up` that failed half-way has made.
    """
    (outputs,) = [outputs for urn, outputs in known.values() if "::pulumi:pulumi:Stack::" in urn] or [{}]
    told = outputs.get("sites", {}).get(site, {}).get("gateway")
    services = sorted(name for name in known if re.fullmatch(rf"{re.escape(site)}-gateway(\..*)?-service", name))
    there = [known[name][1]["metadata"]["namespace"] for name in services]
    return told["namespace"] if told and told["namespace"] in there else next(iter(there), None)


def gateway_namespace(site: model.Site, held: Held | None) -> str:
    """Return the namespace of a site's gateway: what is configured, else where it is, else the one of new sites."""
    return site.gateway.namespace or (held and held.gateway) or GATEWAY_NAMESPACE


def other_cluster(
    held: Held | None, identity: str, kubeconfig: str, *, site: str, path: str, named: str
) -> Iterator[Finding]:
    """Find that a kubeconfig leads to another cluster than the one that a site is on, or may do so.

    Args:
        held: what the state has of the site's cluster; None for a site that was never there.
        identity: the identity of the cluster that the kubeconfig leads to.
        kubeconfig: its contents, with the used context alone.
        site: name of the site.
        path: place of the cluster in the configuration.
        named: what stands there.
    """
    if held is None:
        return
    if held.doomed:
        advice = f"would lose namespaces with all that is in them: a replacement of {site} has failed half-way. See"
        yield Finding(path, named, f"{advice} {STUCK}")
    elif held.identity is None:
        before, now = _cluster(held.kubeconfig), _cluster(kubeconfig)
        if changed := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
            advice = (
                f"has another {', '.join(changed)} than at the last `pulumi up` ({before.get('server')}), by dcmesh "
                "0.1.0, which did not know clusters again: run `pulumi up` with the kubeconfig of then, and change it "
                "afterwards"
            )
            yield Finding(path, named, advice)
    elif held.identity != identity:
        advice = (
            f"is another cluster than the one that {site} is on: the UID of its namespace kube-system is {identity}, "
            f"and was {held.identity}. Correct the kubeconfig; if {site} moves, or was made anew, see {MOVING}"
        )
        yield Finding(path, named, advice)


def made_elsewhere(held: Held | None, *, site: str, path: str, named: str) -> Iterator[Finding]:
    """Find that a cluster is to be made for a site that is on an existing one, or on one that is made otherwise."""
    if held and held.made_by != named:
        yield Finding(path, named, f"is another cluster than the one that {site} is on: if it moves, see {MOVING}")


def _cluster(kubeconfig: str) -> dict[str, Any]:
    """Return what a kubeconfig of one context says of its cluster: what a provider without an identity compares."""
    (found,) = yaml.safe_load(kubeconfig)["clusters"]
    return dict(found["cluster"])
