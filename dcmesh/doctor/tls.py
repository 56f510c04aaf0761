"""TLS: the consumer's sidecar speaks mutual TLS, names the host, and insists on the exporter's identity."""

from collections.abc import Iterator, Sequence
from typing import Any

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import restore, restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object
from dcmesh.status.hosts import parse_clusters

OFF = FindingKind("tls-off", "the consumer's sidecar speaks no TLS to the host")
FOREIGN = FindingKind("tls-not-istio", "the consumer's sidecar does not prove itself by its Istio certificate")
SNI = FindingKind("tls-sni-wrong", "the consumer's sidecar asks the gateway for another name")
IDENTITY = FindingKind("tls-identity-wrong", "the consumer's sidecar takes others than the exporter for the host")
NO_RULE = FindingKind(
    "rule-missing",
    "no DestinationRule insists on mutual TLS for the host: it hangs on Istio's automatic choice",
    State.WARNING,
)


def sockets(cluster: Object) -> list[Object]:
    """Return the TLS settings that a cluster uses for hosts with a sidecar; empty for plaintext."""
    if "transport_socket_matches" in cluster:
        matches = [match for match in cluster["transport_socket_matches"] if "tlsMode-istio" in match["name"]]
        found = [match["transport_socket"] for match in matches]
    else:
        found = [cluster["transport_socket"]] if "transport_socket" in cluster else []
    return [socket["typed_config"] for socket in found if "UpstreamTlsContext" in socket["typed_config"]["@type"]]


def judge(link: WalkedLink, cluster: Object) -> Iterator[HopFinding]:
    """Yield what is wrong with the TLS settings of the host's cluster in the consumer's Envoy."""
    metadata = cluster.get("metadata", {}).get("filter_metadata", {}).get("istio", {})
    rule = _rule(metadata.get("config", ""))
    own = rule == link.export.rule(link.host, link.account.namespace)
    origin = f"by the DestinationRule {rule}" if rule else "by no DestinationRule"
    fix = restore_object(link.consumer_site, "destinationrule", rule, there=own)
    if rule and not own:
        fix = f"Delete the DestinationRule: `kubectl delete destinationrule -n {rule.replace('/', ' ')}`."
    seen = f"{link.cluster} of its Envoy, {origin}"
    contexts = sockets(cluster)
    if not contexts:
        yield OFF(f"{seen}: no TLS", fix)
        return
    secrets = {
        secret["name"]
        for context in contexts
        for secret in context["common_tls_context"].get("tls_certificate_sds_secret_configs", ())
    }
    if secrets != {"default"}:
        yield FOREIGN(f"{seen}: certificate {' '.join(sorted(secrets)) or 'none'}", fix)
        return
    names = {str(context.get("sni", "none")) for context in contexts}
    if names != {link.sni}:
        yield SNI(f"{seen}: SNI {' '.join(sorted(names))} instead of {link.sni}", fix)
        return
    accepted = parse_clusters({"configs": [{"cluster": cluster}]}).get((link.known_as, link.export.port), ())
    if set(accepted) != set(link.export.identities):
        shown = " ".join(accepted) or "anybody whose certificate the root has signed"
        yield IDENTITY(f"{seen}: accepts {shown} instead of {' '.join(link.export.identities)}", fix)
        return
    if not rule:
        yield NO_RULE(seen, restore(link.consumer_site))


def _rule(config: str) -> str:
    """Return namespace and name of a cluster's DestinationRule, from `…/namespaces/N/destination-rule/M`."""
    parts = config.split("/")
    return f"{parts[-3]}/{parts[-1]}" if "destination-rule" in parts else ""


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    clusters: Sequence[Any] = link.consumer.dump(link.client, "dynamic_active_clusters")
    for found in clusters:
        if found["cluster"]["name"] == link.cluster:
            yield from judge(link, found["cluster"])


HOP = Hop(
    name="TLS",
    about="the sidecar speaks Istio's mutual TLS, asks for the host by SNI, and accepts the exporter's identity alone",
    side="consumer",
    kinds=(OFF, FOREIGN, SNI, IDENTITY, NO_RULE),
    look=_look,
)
