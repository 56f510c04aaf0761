"""Rotation: a site gets new certificates once they are allowed, and is done when all of its proxies follow them."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any

import pulumi

from components.trust.shared_ca import Intermediate
from dcmesh.model.certificates import Bundle
from dcmesh.trust.rotation import OtherSites, certificates, guard, settle


def guarded(site: str, intermediate: Intermediate, kubeconfig: pulumi.Output[str], others: OtherSites) -> Intermediate:
    """Return an intermediate that is known only once it is allowed into a site's cluster."""

    def look(known: Sequence[str]) -> Awaitable[str]:
        wanted = Bundle(chain=known[1], root=known[2])
        return asyncio.to_thread(guard, site, known[0], wanted, others)  # it takes long, and others go on

    def warn(known: Sequence[str]) -> str:
        if known[1]:
            pulumi.log.warn(known[1])
        return known[0]

    looked: pulumi.Output[str] = pulumi.Output.all(kubeconfig, intermediate.chain, intermediate.root).apply(look)
    allowed = pulumi.Output.all(intermediate.root, pulumi.Output.unsecret(looked)).apply(warn)
    return replace(intermediate, root=allowed)


def settled(
    site: str, intermediate: Intermediate, kubeconfig: pulumi.Output[str], *after: pulumi.Resource
) -> pulumi.Output[dict[str, Any]]:
    """Return a site's certificates as a stack output, once all of its proxies follow them.

    Args:
        site: the site.
        intermediate: what it is given.
        kubeconfig: contents of its kubeconfig.
        after: what must be there first.
    """

    async def finish(kubeconfig: str, wanted: Bundle) -> dict[str, Any]:
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(settle, site, kubeconfig, wanted)
        return certificates(site, wanted)

    def wait(known: Sequence[str]) -> Awaitable[dict[str, Any]]:
        return finish(known[0], Bundle(chain=known[1], root=known[2]))

    ready = [resource.urn for resource in after]
    done: pulumi.Output[dict[str, Any]] = pulumi.Output.all(
        kubeconfig, intermediate.chain, intermediate.root, *ready
    ).apply(wait)
    return pulumi.Output.unsecret(done)


def issued(site: str, intermediate: Intermediate) -> pulumi.Output[dict[str, Any]]:
    """Return the certificates of a site of another stack as a stack output."""
    known: pulumi.Output[list[str]] = pulumi.Output.all(intermediate.chain, intermediate.root)
    return known.apply(lambda pems: certificates(site, Bundle(chain=pems[0], root=pems[1])))
