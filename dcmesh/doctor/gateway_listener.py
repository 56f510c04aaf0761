"""The gateway's listener: it passes on what asks for the host by SNI, or ends its TLS."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import catch_up, restore, restore_object
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.pods import parse_pod
from dcmesh.model.gateway import GATEWAY_PORT
from dcmesh.model.istio_objects import Object, covers, labels, name_of, selects, visible
from dcmesh.model.link import is_whole
from dcmesh.model.object_names import exported_entry, opening

OBJECT_MISSING = FindingKind("gateway-object-missing", "no Gateway lets the host in")
OBJECT_WRONG = FindingKind(
    "gateway-object-wrong", "the Gateway that has the host does not treat its TLS as the export says"
)
ENTRY_MISSING = FindingKind("pod-entry-missing", "no ServiceEntry tells the gateway of the host's pod")
ENTRY_WRONG = FindingKind("pod-entry-wrong", "the ServiceEntry of the host's pod is not as the gateway needs it")
CHAIN_MISSING = FindingKind("chain-missing", "the gateway's Envoy has no filter chain for the host's SNI")


def judge(
    link: WalkedLink,
    *,
    gateways: Sequence[Object],
    pods: Sequence[Object],
    entries: Sequence[Object],
    listeners: Mapping[str, Sequence[Object]],
    left_out: Callable[[], str],
) -> Iterator[HopFinding]:
    """Yield what is wrong with what the gateway lets in.

    Args:
        link: the link.
        gateways: the Gateways of the cluster.
        pods: the gateway's ready pods.
        entries: the ServiceEntries of the cluster.
        listeners: by pod of the gateway, the listeners of its Envoy.
        left_out: asks istiod how many servers of the Gateway it has left out; empty if none, or not known.
    """
    again, namespace = restore(link.export.source), link.gateway.namespace
    name = opening(link.export, link.host, namespace)
    by_owner = sorted(gateways, key=lambda gateway: name_of(gateway) != name)  # dcmesh's own first
    having = [(gateway, server) for gateway in by_owner for server in _servers(gateway, link.served)]
    if not having:
        yield OBJECT_MISSING(f"of {len(gateways)} Gateways none has the host {link.served}", again)
        return
    mode = "ISTIO_MUTUAL" if link.ends_at_gateway else "AUTO_PASSTHROUGH"
    wrong = [(gateway, _fault(gateway, server, pods, mode)) for gateway, server in having]
    if all(fault for _, fault in wrong):
        gateway, fault = wrong[0]
        there = any(name_of(gateway) == name for gateway in gateways)
        fix = restore_object(link.export.source, "gateway.networking.istio.io", name, there=there)
        yield OBJECT_WRONG(f"Gateway {name_of(gateway)}: {fault}", fix)
        return
    if not is_whole(link.host) and (found := list(_entry(link, entries))):
        yield from found
        return
    for pod, known in listeners.items():
        if not any(link.sni in names for names in _server_names(known)):
            count = left_out()
            said = f"; istiod has left out servers of the Gateway {name}: {count}" if count else ""
            yield CHAIN_MISSING(
                f"{pod}: no filter chain of port {GATEWAY_PORT} has the server name {link.sni}{said}",
                catch_up(link.export.source),
            )
            return


def _entry(link: WalkedLink, entries: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield what is wrong with the ServiceEntry of the host's pod."""
    ours, namespace = exported_entry(link.export, link.host), link.gateway.namespace
    name = link.export.base_name(link.host)
    own = [e for e in entries if name_of(e) == ours and name in e["spec"]["hosts"] and visible(e, namespace)]
    if not own:
        missing = f"no ServiceEntry {ours} that {namespace} sees has the host {name}"
        yield ENTRY_MISSING(missing, restore(link.export.source))
        return
    (entry,) = own
    ports = [int(port["number"]) for port in entry["spec"].get("ports", ())]
    chosen = entry["spec"].get("workloadSelector", {}).get("labels", {})
    if link.export.port not in ports or chosen != {link.export.pod_label: link.pod_name}:
        shown = " ".join(f"{key}={value}" for key, value in chosen.items()) or "nothing"
        fix = restore_object(link.export.source, "serviceentry", ours, there=True)
        yield ENTRY_WRONG(f"ServiceEntry {name_of(entry)}: ports {ports}, selects {shown}", fix)


def _servers(gateway: Object, host: str) -> Iterator[Object]:
    for server in gateway["spec"].get("servers", ()):
        if any(covers(pattern.rpartition("/")[2], host) for pattern in server.get("hosts", ())):
            yield server


def _fault(gateway: Object, server: Object, pods: Sequence[Object], wanted: str) -> str:
    selector = gateway["spec"].get("selector", {})
    if not any(selects(selector, labels(pod)) for pod in pods):
        return f"selector {selector} selects no pod of the gateway"
    if (number := int(server["port"]["number"])) != GATEWAY_PORT:
        return f"port {number} instead of {GATEWAY_PORT}"
    if (mode := server.get("tls", {}).get("mode", "none")) != wanted:
        return f"TLS mode {mode} instead of {wanted}"
    return ""


def _server_names(listeners: Sequence[Object]) -> Iterator[Sequence[str]]:
    for listener in listeners:
        active = listener.get("active_state", {}).get("listener", {})
        if active.get("address", {}).get("socket_address", {}).get("port_value") == GATEWAY_PORT:
            for chain in active.get("filter_chains", ()):
                yield chain.get("filter_chain_match", {}).get("server_names", ())


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    source, pods = link.source, link.gateway_pods
    yield from judge(
        link,
        gateways=source.istio("Gateway"),
        pods=pods,
        entries=source.istio("ServiceEntry"),
        listeners={name_of(pod): source.dump(parse_pod(pod), "dynamic_listeners") for pod in pods},
        left_out=partial(source.left_out, opening(link.export, link.host, link.gateway.namespace)),
    )


HOP = Hop(
    name="gateway's listener",
    about="a Gateway has the host, a ServiceEntry its pod, and each of the gateway's Envoys a filter chain for its SNI",
    side="source",
    kinds=(OBJECT_MISSING, OBJECT_WRONG, ENTRY_MISSING, ENTRY_WRONG, CHAIN_MISSING),
    look=_look,
)
