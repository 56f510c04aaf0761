"""Trust: who trusts which root, and under which root certificates are in use, in all sites of a stack."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes

from dcmesh.kube.proxies import all_of, on_each
from dcmesh.model.certificates import CertificateHolder, common_name, root_name, trusts
from dcmesh.model.facts import Problem, State, worst
from dcmesh.model.json_data import plain
from dcmesh.sites_in_outputs import DeployedSite


@dataclass(frozen=True, kw_only=True)
class TrustedRoot:
    """A root that anybody trusts.

    Attributes:
        subject: whose certificate it is.
        fingerprint: its SHA-256.
        trusted_by: how many trust it, of those that were asked.
        not_trusted_by: the others.
        used_by: those that prove themselves by a certificate under it.
    """

    subject: str
    fingerprint: str
    trusted_by: int
    not_trusted_by: tuple[str, ...]
    used_by: tuple[str, ...]

    @property
    def may_issue(self) -> bool:
        """Whether certificates under it are accepted by all that were asked."""
        return not self.not_trusted_by

    @property
    def may_go(self) -> bool:
        """Whether none of those that were asked needs it."""
        return not self.used_by


@dataclass(frozen=True, kw_only=True)
class TrustReport:
    """What was found in a stack.

    Attributes:
        holders: the proxies and the Secrets `cacerts`, of which the pods that start later will have what they have.
        unreadable: why the stack itself could not be read; empty if it could.
    """

    holders: tuple[CertificateHolder, ...] = ()
    unreadable: str = ""

    @property
    def roots(self) -> tuple[TrustedRoot, ...]:
        """Every root that anybody trusts."""
        known = [holder for holder in self.holders if not holder.unknown]
        return tuple(
            TrustedRoot(
                subject=common_name(root),
                fingerprint=root.fingerprint(hashes.SHA256()).hex(),
                trusted_by=sum(root in holder.roots for holder in known),
                not_trusted_by=tuple(holder.where for holder in known if root not in holder.roots),
                used_by=tuple(holder.where for holder in known if trusts([root], holder.chain)),
            )
            for root in dict.fromkeys(root for holder in known for root in holder.roots)
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, the worst first."""
        if self.unreadable:
            return (Problem(state=State.UNKNOWN, text=self.unreadable),)
        found = [*_refused(self.holders), *_unknown(self.holders), *_unfinished(self.roots)]
        return tuple(dict.fromkeys(found))

    @property
    def state(self) -> State:
        """The worst of all."""
        return worst(problem.state for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return the whole as plain data."""
        roots = [{**plain(root), "mayIssue": root.may_issue, "mayGo": root.may_go} for root in self.roots]
        return {"state": plain(self.state), "problems": plain(self.problems), "roots": roots}


def _refused(holders: Sequence[CertificateHolder]) -> Iterator[Problem]:
    """Find what is not accepted by another, with one example of each root: they all refuse one another."""
    known = [holder for holder in holders if not holder.unknown]
    for name in dict.fromkeys(root_name(holder.chain) for holder in known):
        of = next(holder for holder in known if root_name(holder.chain) == name)
        refusing = [holder.where for holder in known if not trusts(holder.roots, of.chain)]
        if refusing:
            text = f"{', '.join(refusing)}: refuse {of.where}, whose certificate is under {name}"
            yield Problem(state=State.CRITICAL, text=text)


def _unknown(holders: Iterable[CertificateHolder]) -> Iterator[Problem]:
    for holder in holders:
        if holder.unknown:
            yield Problem(state=State.UNKNOWN, text=f"{holder.where}: cannot be asked: {holder.unknown}")


def _unfinished(roots: Sequence[TrustedRoot]) -> Iterator[Problem]:
    for root in roots:
        if root.not_trusted_by and root.trusted_by:
            text = f"{root.subject} is not trusted by {', '.join(root.not_trusted_by)}: it must not issue yet"
            yield Problem(state=State.WARNING, text=text)


def ask_trust(sites: Sequence[DeployedSite]) -> TrustReport:
    """Ask all sites at once."""
    with ThreadPoolExecutor(len(sites)) as pool:
        found = pool.map(_ask_site, sites)
        return TrustReport(holders=tuple(holder for holders in found for holder in holders))


def _ask_site(site: DeployedSite) -> list[CertificateHolder]:
    try:
        site.reach()
        return on_each({site.name: site.kubeconfig}, all_of)
    except ConnectionError as error:
        return [CertificateHolder(where=f"{site.name}'s cluster", unknown=str(error))]
