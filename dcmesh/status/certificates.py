"""Certificates: how long they are valid, and whether the sites share a root."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pydantic import AwareDatetime

from dcmesh.kube.api import ERRORS, ApiClient, answer_or_none, secret_data, why
from dcmesh.kube.mesh_config import mesh_root
from dcmesh.kube.proxies import SECRET
from dcmesh.model.cacerts import layout_of
from dcmesh.model.certificates import WARNING_DAYS, Bundle, common_name
from dcmesh.model.facts import Fact, Problem, State
from dcmesh.model.istio import ISTIO_NAMESPACE

OVERDUE = 0.25
"""Which part of a pod's certificate's lifetime may be left. Istio renews it when half of it is left."""

CertificateKind = Literal["root", "intermediate", "pod"]


@dataclass(frozen=True, kw_only=True)
class Certificate(Fact):
    """A certificate.

    Attributes:
        kind: whether it is the root's, the site's intermediate's or that of a pod's sidecar.
        subject: whose it is: a common name, or a pod's service account.
        issued: since when it is valid.
        expires: until when.
        days_left: how many days that is from now.
        fingerprint: SHA-256 of an authority's certificate.
    """

    kind: CertificateKind
    subject: str
    issued: AwareDatetime | None = None
    expires: AwareDatetime | None = None
    days_left: float | None = None
    fingerprint: str | None = None

    @property
    def where(self) -> str:
        """What problems begin with."""
        return f"{self.site} certificate of {self.kind} {self.subject}"

    @property
    def end(self) -> str:
        """Until when it is valid, in UTC."""
        return f"{self.expires.astimezone(UTC):%Y-%m-%d %H:%M}" if self.expires else "?"

    @property
    def left(self) -> str:
        """How long it is still valid, in words."""
        if self.days_left is None:
            return "?"
        if self.days_left <= 0:
            return "expired"
        if self.days_left >= 2:
            return f"{self.days_left:.0f} days"
        return f"{timedelta(days=self.days_left) // timedelta(hours=1)} hours"

    def judge(self) -> Iterator[tuple[State, str]]:
        """Yield what is wrong."""
        if self.issued is None or self.expires is None or self.days_left is None:
            return
        until = f"{self.end} UTC"
        if self.days_left <= 0:
            yield State.CRITICAL, f"expired {until}"
        elif self.kind != "pod" and self.days_left < WARNING_DAYS:
            yield State.WARNING, f"expires in {self.days_left:.0f} days, {until}"
        elif self.kind == "pod" and self.days_left < OVERDUE * days(self.expires, self.issued):
            yield State.WARNING, f"is not renewed: expires {until}"


def days(until: datetime, since: datetime) -> float:
    """Return how many days are between two times."""
    return round((until - since).total_seconds() / 86400, 2)


def ask_authorities(clients: Callable[[], ApiClient], site: str, told: Bundle | None = None) -> list[Certificate]:
    """Ask a cluster for the certificates that its Istio signs with.

    They lie beside the intermediate's key, which not everybody may read. Who may not is shown the roots that istiod has
    all proxies trust, and the intermediate that the stack has given the site.

    Args:
        clients: makes clients of the cluster.
        site: the site.
        told: what the stack has given it. Default: nothing.
    """
    now = datetime.now(UTC)
    try:
        with clients() as api:
            secret = answer_or_none(secret_data, api, ISTIO_NAMESPACE, SECRET, none=(403,) if told else ())
            if secret is None and told:
                return _authorities(site, mesh_root(api).encode(), told.chain.encode(), now)
        return parse_authorities(site, secret, now)
    except (*ERRORS, ValueError) as error:
        reason = f"the Secret {ISTIO_NAMESPACE}/{SECRET} cannot be read: {why(error)}"
        return [Certificate(site=site, kind="intermediate", subject=f"of {site}", unknown=reason)]


def parse_authorities(site: str, secret: Mapping[str, str], now: datetime) -> list[Certificate]:
    """Return the authorities in the data of the Secret `cacerts`: the roots, of which there may be several.

    Raises:
        ValueError: they are no certificates.
    """
    layout = layout_of(secret)
    root, cert = (base64.b64decode(secret.get(key, "")) for key in (layout.root, layout.cert))
    return _authorities(site, root, cert, now)


def _authorities(site: str, root: bytes, chain: bytes, now: datetime) -> list[Certificate]:
    """Return the roots, and the first certificate of a chain.

    Raises:
        ValueError: they are no certificates.
    """
    roots = x509.load_pem_x509_certificates(root)
    own, *_ = x509.load_pem_x509_certificates(chain)
    authorities: list[tuple[CertificateKind, x509.Certificate]] = [
        *(("root", root) for root in roots),
        ("intermediate", own),
    ]
    return [
        Certificate(
            site=site,
            kind=kind,
            subject=common_name(found),
            issued=found.not_valid_before_utc,
            expires=found.not_valid_after_utc,
            days_left=days(found.not_valid_after_utc, now),
            fingerprint=found.fingerprint(hashes.SHA256()).hex(),
        )
        for kind, found in authorities
    ]


def parse_proxy(site: str, subject: str, answer: Mapping[str, Any], now: datetime) -> Certificate:
    """Return a pod's own certificate from its Envoy's answer at `certs`. Of several it is the first to expire."""
    chain = [found for entry in answer.get("certificates", ()) for found in entry.get("cert_chain", ())]
    if not chain:
        return Certificate(site=site, kind="pod", subject=subject, unknown="its sidecar has none")
    first = min(chain, key=lambda found: datetime.fromisoformat(found["expiration_time"]))
    expires = datetime.fromisoformat(first["expiration_time"])
    return Certificate(
        site=site,
        kind="pod",
        subject=subject,
        issued=datetime.fromisoformat(first["valid_from"]),
        expires=expires,
        days_left=days(expires, now),
    )


def root_problems(certificates: Iterable[Certificate]) -> tuple[Problem, ...]:
    """Return what is wrong between sites: without a common root none trusts another."""
    roots = dict[str, set[str]]()
    for certificate in certificates:
        if certificate.kind == "root" and certificate.fingerprint:
            roots.setdefault(certificate.site, set()).add(certificate.fingerprint)
    if len(roots) > 1 and not set.intersection(*roots.values()):
        return (Problem(state=State.CRITICAL, text=f"{', '.join(roots)} have no root certificate in common"),)
    return ()
