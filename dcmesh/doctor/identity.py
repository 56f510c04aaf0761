"""Identity: each end's certificate is valid, has the right identity, and leads to a root that the other end trusts."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes

from dcmesh.doctor.evidence import Evidence
from dcmesh.doctor.findings import FindingKind, HopFinding, UnseenError
from dcmesh.doctor.fixes import restore
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.pods import Pod, parse_pod
from dcmesh.kube.proxies import parse_secrets
from dcmesh.model.certificates import CertificateHolder, identity, root_name, trusts
from dcmesh.model.istio_objects import Object

EXPIRED = FindingKind("certificate-expired", "a sidecar's certificate has expired, or an authority's above it")
WRONG_ACCOUNT = FindingKind("account-wrong", "whoever ends the TLS proves another identity than the export says")
ROOTS = FindingKind("roots-differ", "the two ends trust different roots")


def judge(
    link: WalkedLink, *, client: CertificateHolder | None, server: CertificateHolder | None, now: datetime
) -> Iterator[HopFinding]:
    """Yield what is wrong with the two ends' certificates; None for an end that another stack has."""
    for end in filter(None, (client, server)):
        for certificate in end.chain:
            if certificate.not_valid_after_utc <= now:
                who = certificate.subject.rfc4514_string() or identity(certificate)
                yield EXPIRED(
                    f"{end.where}: {who} expired {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
                    "Renew it: an authority's by docs/production.md, a sidecar's by a restart of its pod.",
                )
                return
    if server and identity(server.chain[0]) not in link.export.identities:
        account = link.export.identities[0].rpartition("/")[2]
        fix = f"Run the pod as the service account {account}, or set the export's `serviceAccount` to the one it has."
        yield WRONG_ACCOUNT(
            f"{server.where}: {identity(server.chain[0])} instead of {' or '.join(link.export.identities)}",
            restore(link.export.source) if link.ends_at_gateway else fix,
        )
        return
    if client and server:
        for one, other in ((client, server), (server, client)):
            if not trusts(one.roots, other.chain):
                yield ROOTS(
                    f"{one.where} trusts {_roots(one)}; {other.where} has a certificate under {root_name(other.chain)}",
                    "Give both sites intermediates of one root (docs/production.md); see `python -m dcmesh trust`.",
                )
                return


def _roots(end: CertificateHolder) -> str:
    return ", ".join(f"{root_name([root])} ({root.fingerprint(hashes.SHA256()).hex()[:8]})" for root in end.roots)


def _ending(link: WalkedLink) -> list[Object]:
    """Return the pods that end the consumer's TLS: the host's own, or the gateway's."""
    if link.ends_at_gateway:
        return link.gateway_pods
    return [link.server] if link.server else []


def _ask(side: Evidence, pod: Pod) -> CertificateHolder:
    secrets = json.dumps({"configs": side.dump(pod, "dynamic_active_secrets")})
    holder = parse_secrets(f"{side.site.name} {pod.namespace}/{pod.name}", secrets)
    if holder.unknown:
        raise UnseenError(f"{holder.where}: {holder.unknown}")
    return holder


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    server = next((parse_pod(pod) for pod in _ending(link)), None) if link.sees_source else None
    yield from judge(
        link,
        client=_ask(link.consumer, link.client) if link.sees_consumer else None,
        server=_ask(link.source, server) if server else None,
        now=datetime.now(UTC),
    )
    _ = link.consumer, link.source  # without one of them only half of the hop is seen, and that is reported


HOP = Hop(
    name="identity",
    about="both ends' certificates are valid and of a common root, and who ends the TLS has the exported identity",
    side="source",
    kinds=(EXPIRED, WRONG_ACCOUNT, ROOTS),
    look=_look,
)
