"""Rotation: guards a change of a site's certificates, and sees it through.

Two rules hold between all that proves itself to another, whatever step a change is part of: what signs must be trusted
everywhere before it signs, and what is trusted must stay so until nobody proves itself by it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pulumi

from dcmesh.kube.api import ERRORS, why
from dcmesh.kube.kubeconfig import read_kubeconfig
from dcmesh.kube.proxies import SECRET, MeshCluster, all_of, on_each
from dcmesh.model import settings as model
from dcmesh.model.certificates import (
    WARNING_DAYS,
    Bundle,
    CertificateHolder,
    common_name,
    holder_of,
    identity,
    read_pem,
    root_name,
    trusts,
)
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.link import trust_domain_of
from dcmesh.model.name_constraints import is_bound, may_sign_for
from dcmesh.stacks import ReadStack, read_stack, stack_name, stacks_met

BEGIN = "-----BEGIN"

PATIENCE = 180
"""For how many seconds a site's istiods and proxies may take to follow."""

BY_THEMSELVES = 15
"""For how many seconds a site's proxies are left to follow a change of the roots by themselves."""

INTERVAL = 0.5
"""How many seconds pass before they are asked again."""

MOST_SHOWN = 8
"""How many objections are shown."""


@dataclass(frozen=True, kw_only=True)
class OtherSites:
    """The sites that must go on accepting one another.

    Attributes:
        kubeconfigs: of those of the stack's sites that were there after its last `up`.
        bundles: for sites of other stacks, what their last `up` saw through.
        unseen: sites of which nothing can be known here, and why.
    """

    kubeconfigs: Mapping[str, str]
    bundles: Mapping[str, Bundle]
    unseen: Mapping[str, str]


def objections(wanted: Bundle, held: Bundle, holders: Sequence[CertificateHolder]) -> Iterator[str]:
    """Yield why a site's bundle must not be replaced now.

    Args:
        wanted: the new one.
        held: the present one.
        holders: all that must go on accepting the site's pods, and being accepted by them; its own among them.
    """
    chain, roots = read_pem(wanted.chain), read_pem(wanted.root)
    for holder in holders:
        if holder.unknown:
            yield f"{holder.where} cannot be asked ({holder.unknown}): see to it that it can, or remove it"
        elif not trusts(holder.roots, chain):
            yield (
                f"{holder.where} does not trust {root_name(chain)}, which is to issue: "
                "first run the step that trusts it beside the old root (`next: trusted`) on every site"
            )
        elif not trusts(roots, holder.chain):
            yield (
                f"{holder.where} has a certificate under {root_name(holder.chain)}, which is to be trusted no more: "
                "first run the step in which the new root issues (`next: issuing`) on every site"
            )
    if wanted.root not in held.root and held.root not in wanted.root:
        yield (
            "istiod takes changed roots only where the new text contains the old, or the old the new: "
            "add roots behind the present ones in one step, and remove the old in another"
        )


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A site's mesh, as the configuration has it.

    Attributes:
        trust_domain: its trust domain.
        revision: revision of its istiod. Default: Istio's own default.
    """

    trust_domain: str
    revision: str = "default"


def out_of_bounds(wanted: Bundle, in_force: str | None, proxies: Sequence[CertificateHolder]) -> Iterator[str]:
    """Yield who could not have a valid certificate by an intermediate that is bound to another trust domain.

    Args:
        wanted: what is to be written.
        in_force: the trust domain for which istiod issues now; None if there is none yet.
        proxies: the site's proxies.
    """
    chain = read_pem(wanted.chain)
    first = "take `trust.trustDomains` back until every site has the new one, or give one that may (docs/production.md)"
    if in_force and not may_sign_for(chain, in_force):
        yield f"the mesh has the trust domain {in_force}, for which {common_name(chain[0])} may not sign: {first}"
    for holder in proxies:
        of = trust_domain_of(identity(holder.chain[0])) if holder.chain else ""
        if of and not may_sign_for(chain, of):
            yield f"{holder.where} has a certificate of {of}, for which {common_name(chain[0])} may not sign: {first}"


def guard(site: str, kubeconfig: str, wanted: Bundle, others: OtherSites, mesh: Mesh) -> str:
    """Look at all that can be seen before a site's certificates change.

    Args:
        site: the site.
        kubeconfig: contents of its kubeconfig.
        wanted: what is to be written.
        others: the other sites.
        mesh: the site's mesh.

    Returns:
        What cannot be seen from here and must be checked elsewhere; empty if nothing is changed, or all is seen.

    Raises:
        pulumi.RunError: the change would break something.
    """
    try:
        cluster = MeshCluster(site, kubeconfig)
        held, in_force = cluster.bundle(), None
        if is_bound(chain := read_pem(wanted.chain)):
            in_force = (cluster.trust_domains(mesh.revision) or (None,))[0]
    except ERRORS as error:
        raise pulumi.RunError(
            f"{site}: its cluster cannot be asked for its certificates: {why(error)}. If {site} is gone, set "
            f"failover.without to {site} (docs/switchover.md)"
        ) from None
    if not may_sign_for(chain, mesh.trust_domain):
        raise pulumi.RunError(
            f"{site}: {common_name(chain[0])} may not sign for its trust domain, {mesh.trust_domain}: correct "
            "`sites[].trustDomain`, or `trust.trustDomains` in the stack that issues it"
        )
    if held == wanted or (held is None and in_force is None):
        return ""
    own = on_each({site: kubeconfig}, all_of)
    holders = on_each({of: known for of, known in others.kubeconfigs.items() if of != site}, all_of) + own
    holders += [holder_of(f"{other} (its last `pulumi up`)", bundle) for other, bundle in others.bundles.items()]
    wrong = [*out_of_bounds(wanted, in_force, own), *(objections(wanted, held, holders) if held else ())]
    if wrong:
        more = [f"… and {len(wrong) - MOST_SHOWN} more"] if len(wrong) > MOST_SHOWN else []
        lines = "\n".join(f"  {line}" for line in [*wrong[:MOST_SHOWN], *more])
        raise pulumi.RunError(f"{site}: its certificates must not be changed now, and were not:\n{lines}")
    unseen = {other: reason for other, reason in others.unseen.items() if other != site}
    return unseen_warning(site, wanted, unseen)


def unseen_warning(site: str, wanted: Bundle, unseen: Mapping[str, str]) -> str:
    """Return what to check in sites that cannot be seen; empty if there are none."""
    if not unseen:
        return ""
    names = ", ".join(f"{name} ({reason})" for name, reason in unseen.items())
    trusted = ", ".join(dict.fromkeys(map(common_name, read_pem(wanted.root))))
    return (
        f"{site}: its certificates change, and {names} cannot be seen from here: `python -m dcmesh trust` "
        f"there must say that every proxy trusts {root_name(read_pem(wanted.chain))}, and that none has a certificate "
        f"under another root than {trusted}"
    )


# --- seeing it through -----------------------------------------------------------------------------------------------


def behind(
    wanted: Bundle, holders: Sequence[CertificateHolder], trust_domain: str | None = None
) -> list[CertificateHolder]:
    """Return the proxies that do not have what they should: these roots, and a certificate by this intermediate.

    Args:
        wanted: what they should have.
        holders: the proxies.
        trust_domain: the trust domain that the certificate should have. Default: any.
    """
    intermediate, roots = read_pem(wanted.chain)[0], set(read_pem(wanted.root))

    def has_all(of: CertificateHolder) -> bool:
        own = not trust_domain or (of.chain and trust_domain_of(identity(of.chain[0])) == trust_domain)
        return bool(own) and set(of.roots) == roots and intermediate in of.chain

    return [holder for holder in holders if holder.unknown or not has_all(holder)]


def given_or_held(site: str, kubeconfig: str, chain: str | None, roots: str | None) -> Bundle:
    """Return the given certificates, else those of the Secret `cacerts`.

    A root that an interrupted `up` has left in it twice counts once.

    Raises:
        pulumi.RunError: nothing is given, and there is no Secret.
    """
    if chain and roots:
        return Bundle(chain=chain, root=roots)
    held = MeshCluster(site, kubeconfig).bundle()
    if held is None:
        raise pulumi.RunError(f"{site}: its cluster has no Secret {ISTIO_NAMESPACE}/{SECRET}")
    once = "".join(BEGIN + pem for pem in dict.fromkeys(held.root.split(BEGIN)[1:]))
    return Bundle(chain=held.chain, root=once)


def settle(
    site: str, kubeconfig: str, wanted: Bundle, trust_domain: str | None = None, seconds: float = PATIENCE
) -> None:
    """Wait until a site's proxies all have what its Secret says, and make them.

    A proxy keeps its certificate until it is renewed, which takes half a day, unless the text of the roots changes:
    then it asks for a new one at once. So when every istiod signs with the new intermediate, the text is varied (the
    last root twice, which means the same) and put back. Not before: a proxy might ask an istiod that has the old one.

    Args:
        site: the site.
        kubeconfig: contents of its kubeconfig.
        wanted: what the Secret says.
        trust_domain: the trust domain that they should have. Default: any.
        seconds: how long it may take.

    Raises:
        pulumi.RunError: it takes too long.
    """
    cluster, deadline = MeshCluster(site, kubeconfig), time.monotonic() + seconds
    late = behind(wanted, cluster.proxies(), trust_domain)
    if cluster.bundle() == wanted and all(holder.unknown for holder in late):
        return
    cluster.hasten()
    expires = read_pem(wanted.chain)[0].not_valid_after_utc.timestamp()
    _until(deadline, site, "istiod has not taken its new certificates", lambda: _taken(cluster, expires))
    roots = set(read_pem(wanted.root))
    if any(set(holder.roots) != roots for holder in late) and _follow_by_themselves(cluster, wanted, trust_domain):
        return
    varied = wanted.root.rstrip() + "\n" + BEGIN + wanted.root.rpartition(BEGIN)[2]
    held = cluster.bundle()
    for text in (varied, wanted.root)[held is not None and held.root == varied :]:  # an `up` may have been interrupted
        before = _serials(cluster.proxies())
        cluster.write_roots(text)
        cluster.hasten()
        _until(deadline, site, "proxies have not followed", partial(_unchanged, cluster, wanted, before, trust_domain))


def _follow_by_themselves(cluster: MeshCluster, wanted: Bundle, trust_domain: str | None) -> bool:
    """Wait a while for proxies whose roots change, which makes them ask for a certificate too."""
    deadline = time.monotonic() + BY_THEMSELVES
    while time.monotonic() < deadline:
        if not behind(wanted, cluster.proxies(), trust_domain):
            return cluster.bundle() == wanted
        time.sleep(INTERVAL)
    return False


def _taken(cluster: MeshCluster, expires: float) -> list[str]:
    return [f"an istiod of {cluster.site}" for known in cluster.signs_until() if known != expires]


def _unchanged(cluster: MeshCluster, wanted: Bundle, before: Mapping[str, int], trust_domain: str | None) -> list[str]:
    holders = cluster.proxies()
    late = [holder.where for holder in behind(wanted, holders, trust_domain)]
    late += [where for where, serial in _serials(holders).items() if before.get(where) == serial]
    return list(dict.fromkeys(late))


def _serials(holders: Sequence[CertificateHolder]) -> dict[str, int]:
    return {w.where: w.chain[0].serial_number for w in holders if w.chain}


def _until(deadline: float, site: str, what: str, late: Callable[[], list[str]]) -> None:
    """Ask until nobody is late.

    Raises:
        pulumi.RunError: the deadline has passed.
    """
    while found := late():
        if time.monotonic() > deadline:
            shown = ", ".join(found[:MOST_SHOWN])
            raise pulumi.RunError(f"{site}: {what} ({shown}): look at them, then run `pulumi up` again")
        time.sleep(INTERVAL)


# --- in the program --------------------------------------------------------------------------------------------------


def read_others(settings: model.Settings, project: str, stack: str, read: ReadStack = read_stack) -> OtherSites:
    """Return what can be known of all sites that meet those of a stack.

    Not by resources: a site's certificates must not wait for another site.
    """
    stacks = stacks_met(settings, project)
    bundles, unseen = dict[str, Bundle](), dict[str, str]()
    for name, of in stacks.items():
        outputs, reason = _outputs(of, read) if of else ({}, "only its link is known")
        told = outputs.get("certificates")
        if bundle := Bundle.told(told.get(name) if isinstance(told, Mapping) else None):
            bundles[name] = bundle
        else:
            unseen[name] = reason or f"{of} tells of no certificates"
    outputs, reason = _outputs(stack_name(project, stack), read)
    here, up = dict[str, str](), outputs.get("sites", {})
    for site in settings.sites:
        if site.name == settings.lost or reason:
            unseen[site.name] = "failover.without names it" if site.name == settings.lost else reason
        elif site.name in up:
            if known := _kubeconfig(site, outputs):
                here[site.name] = known
            else:
                unseen[site.name] = "its kubeconfig cannot be decrypted here"
    return OtherSites(kubeconfigs=here, bundles=bundles, unseen=unseen)


def _kubeconfig(site: model.Site, outputs: Mapping[str, Any]) -> str | None:
    """Return the contents of a site's kubeconfig; None if they cannot be decrypted."""
    if isinstance(site.cluster, model.ExistingCluster):
        return read_kubeconfig(site.cluster.kubeconfig).only(site.cluster.context)
    made = outputs.get("kubeconfigs", {}).get(site.name)
    return made if isinstance(made, str) else None


def _outputs(stack: str, read: ReadStack) -> tuple[Mapping[str, Any], str]:
    """Return a stack's outputs, or why they cannot be read."""
    try:
        return read(stack), ""
    except LookupError as error:
        return {}, f"{stack} cannot be read: {error}"


def certificates(site: str, bundle: Bundle, now: datetime | None = None) -> dict[str, Any]:
    """Return a site's certificates, with their ends, and warn of an end that is near."""
    now = now or datetime.now(UTC)
    own, roots = read_pem(bundle.chain)[0], read_pem(bundle.root)
    remedies = {own: "have a new one issued (`trust.intermediate`)"}
    remedies |= dict.fromkeys(roots, "replace it in the steps of `trust.root`")
    for found, remedy in remedies.items():
        if (found.not_valid_after_utc - now).days < WARNING_DAYS:
            end = f"{found.not_valid_after_utc:%Y-%m-%d}"
            pulumi.log.warn(f"{site}: the certificate of {common_name(found)} expires on {end}: {remedy}")
    return {
        **bundle.model_dump(by_alias=True),
        "intermediateExpires": own.not_valid_after_utc.date().isoformat(),
        "rootsExpire": {common_name(root): root.not_valid_after_utc.date().isoformat() for root in roots},
    }
