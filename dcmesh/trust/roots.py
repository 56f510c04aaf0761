"""Trust: who trusts which root, and under which root certificates are in use, in all sites of a stack."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes

from dcmesh.deployment import Site
from dcmesh.kube.proxies import all_of, on_each
from dcmesh.model.certificates import Witness, common_name, root_name, trusts
from dcmesh.model.facts import Problem, State, worst
from dcmesh.model.plain import plain


@dataclass(frozen=True, kw_only=True)
class Root:
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
class Trust:
    """What was found in a stack.

    Attributes:
        witnesses: the proxies and the Secrets `cacerts`, of which the pods that start later will have what they have.
        unreadable: why the stack itself could not be read; empty if it could.
    """

    witnesses: tuple[Witness, ...] = ()
    unreadable: str = ""

    @property
    def roots(self) -> tuple[Root, ...]:
        """Every root that anybody trusts."""
        known = [witness for witness in self.witnesses if not witness.unknown]
        return tuple(
            Root(
                subject=common_name(root),
                fingerprint=root.fingerprint(hashes.SHA256()).hex(),
                trusted_by=sum(root in witness.roots for witness in known),
                not_trusted_by=tuple(witness.where for witness in known if root not in witness.roots),
                used_by=tuple(witness.where for witness in known if trusts([root], witness.chain)),
            )
            for root in dict.fromkeys(root for witness in known for root in witness.roots)
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, the worst first."""
        if self.unreadable:
            return (Problem(state=State.UNKNOWN, text=self.unreadable),)
        found = [*_refused(self.witnesses), *_unknown(self.witnesses), *_unfinished(self.roots)]
        return tuple(dict.fromkeys(found))

    @property
    def state(self) -> State:
        """The worst of all."""
        return worst(problem.state for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return the whole as plain data."""
        roots = [{**plain(root), "mayIssue": root.may_issue, "mayGo": root.may_go} for root in self.roots]
        return {"state": plain(self.state), "problems": plain(self.problems), "roots": roots}


def _refused(witnesses: Sequence[Witness]) -> Iterator[Problem]:
    """Find what is not accepted by another, with one example of each root: they all refuse one another."""
    known = [witness for witness in witnesses if not witness.unknown]
    for name in dict.fromkeys(root_name(witness.chain) for witness in known):
        of = next(witness for witness in known if root_name(witness.chain) == name)
        refusing = [witness.where for witness in known if not trusts(witness.roots, of.chain)]
        if refusing:
            text = f"{', '.join(refusing)}: refuse {of.where}, whose certificate is under {name}"
            yield Problem(state=State.CRITICAL, text=text)


def _unknown(witnesses: Iterable[Witness]) -> Iterator[Problem]:
    for witness in witnesses:
        if witness.unknown:
            yield Problem(state=State.UNKNOWN, text=f"{witness.where}: cannot be asked: {witness.unknown}")


def _unfinished(roots: Sequence[Root]) -> Iterator[Problem]:
    for root in roots:
        if root.not_trusted_by and root.trusted_by:
            text = f"{root.subject} is not trusted by {', '.join(root.not_trusted_by)}: it must not issue yet"
            yield Problem(state=State.WARNING, text=text)


def ask_trust(sites: Sequence[Site]) -> Trust:
    """Ask all sites at once."""
    with ThreadPoolExecutor(len(sites)) as pool:
        found = pool.map(lambda site: on_each({site.name: site.kubeconfig}, all_of), sites)
        return Trust(witnesses=tuple(witness for witnesses in found for witness in witnesses))
