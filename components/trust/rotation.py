"""Rotation: a site gets new certificates once they are allowed, and is done when all of its proxies follow them."""

from typing import Any

import pulumi

from dcmesh.model.certificates import Bundle
from dcmesh.trust.rotation import Mesh, OtherSites, certificates, guard
from dcmesh.verbs import CHAIN, DOMAIN, KUBECONFIG, ROOTS

from ..hook_thread_pool import in_hook_thread
from ..trust.shared_ca import Intermediate
from ..verb_command import run_verb


def guard_hook(
    site: str, intermediate: Intermediate, kubeconfig: pulumi.Output[str], others: OtherSites, mesh: Mesh
) -> pulumi.ResourceHookBinding:
    """Return what looks, before a site's Secret `cacerts` is created or updated, whether it may be.

    A hook, and no Command: it runs before each change of the Secret, whatever the reason, and at no other time. In a
    preview it looks too, as far as what is to be written is known.
    """
    wanted = pulumi.Output.all(kubeconfig, intermediate.chain, intermediate.root)

    async def look(_: pulumi.ResourceHookArgs) -> None:
        if known := await wanted.future():
            text, chain, root = known
            warning = await in_hook_thread(guard, site, text, Bundle(chain=chain, root=root), others, mesh)
            if warning:
                pulumi.log.warn(warning)

    hook = pulumi.ResourceHook(f"{site}-certificates-allowed", look, pulumi.ResourceHookOptions(on_dry_run=True))
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def settle_command(
    site: str,
    intermediate: Intermediate,
    kubeconfig: pulumi.Output[str],
    begun: pulumi.CustomResource,
    opts: pulumi.ResourceOptions,
    trust_domain: str | None = None,
) -> pulumi.Output[dict[str, Any]]:
    """Create the Command that has all of a site's proxies follow its certificates.

    Args:
        site: the site, whose name begins the resource's.
        intermediate: what its Secret `cacerts` has by then.
        kubeconfig: contents of its kubeconfig.
        begun: what is made anew before each change of the Secret, or of the trust domain.
        opts: options of the resource.
        trust_domain: the trust domain that they have by then. Default: it is not looked at.

    Returns:
        The certificates that all of them followed when it ran last, as a stack output.
    """
    domain: dict[str, pulumi.Input[str]] = {DOMAIN: trust_domain} if trust_domain else {}
    seen_through = run_verb(
        f"{site}-certificates",
        "settle",
        site,
        environment={KUBECONFIG: kubeconfig, CHAIN: intermediate.chain, ROOTS: intermediate.root} | domain,
        triggers=[intermediate.chain, intermediate.root, begun.id, *domain.values()],
        opts=opts,
    ).triggers
    return pulumi.Output.unsecret(seen_through.apply(lambda seen: _as_output(site, *(seen or ())[:2])))


def issued(site: str, intermediate: Intermediate) -> pulumi.Output[dict[str, Any]]:
    """Return the certificates of a site of another stack as a stack output."""
    known: pulumi.Output[list[str]] = pulumi.Output.all(intermediate.chain, intermediate.root)
    return known.apply(lambda pems: _as_output(site, *pems))


def _as_output(site: str, chain: str, root: str) -> dict[str, Any]:
    return certificates(site, Bundle(chain=chain, root=root))
