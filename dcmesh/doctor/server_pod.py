"""The host's pod: it is ready, has a sidecar, and the gateway knows it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dcmesh.doctor.evidence import is_ready, opt_out, sidecar_state, states
from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.fixes import INJECTOR, OWN_WORKLOAD, catch_up, restore, restore_release, restore_service
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.api import ERRORS
from dcmesh.kube.pods import PROXY, RUNNING, parse_pod
from dcmesh.model.facts import State
from dcmesh.model.istio_objects import Object, labels, misled_to, name_of, selects, target_port
from dcmesh.model.link import POD_NAME, is_whole, service_of
from dcmesh.model.peer_authentication import tls_disabled

ABSENT = FindingKind("pod-missing", "the host's pod does not exist")
NOT_ALONE = FindingKind(
    "pod-not-alone", "several ready pods have the label of the host's pod: connections to the host are spread over them"
)
NO_SIDECAR = FindingKind("pod-without-sidecar", "the host's pod has no sidecar")
NOT_READY = FindingKind("pod-not-ready", "the host's pod is not ready, so the gateway does not lead to it")
UNKNOWN = FindingKind("endpoint-missing", "the gateway does not lead to the host's pod, though it is ready")
MISLED = FindingKind(
    "port-name-taken",
    "the gateway leads to another port of the host's pod: a container gives that the name of the host's port",
)
SERVICE = FindingKind("service-missing", "no Service tells the pod's sidecar of the host's port", State.WARNING)
SERVICE_PORT = FindingKind(
    "service-port-wrong",
    "the Service does not tell the host's port, or not its protocol: sidecars treat it as unknown",
    State.WARNING,
)

SERVER_FIRST = ("tcp", "mysql", "tls", "mongo", "redis")
"""Protocols for which a sidecar does not wait for the client to speak first."""


def judge(
    link: WalkedLink,
    pod: Object | None,
    *,
    led_to: Sequence[Object],
    stateful_set: Object | None,
    endpoints: Mapping[str, tuple[str, ...] | None],
    disabled: bool,
    said: str = "",
) -> Iterator[HopFinding]:
    """Yield what is wrong with the host's pod.

    Args:
        link: the link.
        pod: the pod; None if it is not there.
        led_to: the ready pods that have its label.
        stateful_set: the StatefulSet that it should belong to; None if that is not there.
        endpoints: for each pod of the gateway, where its Envoy sends traffic for the host.
        disabled: whether a PeerAuthentication turns off the pod's mutual TLS. Then no gateway leads to it.
        said: what the server of a pod that is not ready says in its own container.
    """
    namespace, where = link.export.namespace, f"{link.export.namespace}/{link.pod_name}"
    if not pod:
        if link.export.pod_label != POD_NAME:
            yield ABSENT(
                f"no pod in {namespace} has the label {link.export.pod_label}: {link.pod_name}",
                f"Have what runs it start it, or name another in the export's `pods`. {restore(link.export.source)}",
            )
            return
        name, _, ordinal = link.pod_name.rpartition("-")
        replicas = stateful_set["spec"].get("replicas", 1) if stateful_set else 0
        said = f"StatefulSet {namespace}/{name} has spec.replicas {replicas}"
        if not stateful_set:
            yield ABSENT(f"no pod {where}, and no StatefulSet {namespace}/{name}", restore(link.export.source))
        elif replicas <= int(ordinal):
            scale = f"kubectl scale statefulset -n {namespace} {name} --replicas={int(ordinal) + 1}"
            yield ABSENT(f"no pod {where}: {said}", f"Scale it: `{scale}`.")
        else:
            describe = f"kubectl describe statefulset -n {namespace} {name}"
            yield ABSENT(f"no pod {where}, though {said}", f"Read why: `{describe}`.")
        return
    if len(led_to) > 1:
        label, names = link.export.pod_label, " ".join(of["metadata"]["name"] for of in led_to)
        yield NOT_ALONE(
            f"in {namespace} {names} have the label {label}: {link.pod_name}",
            f"Take it off those that are not the host's: `kubectl label pod -n {namespace} NAME {label}-`.",
        )
        return
    sidecar = sidecar_state(pod)
    if sidecar is None and not link.ends_at_gateway:
        yield NO_SIDECAR(
            f"pod {where}: no container {PROXY}{opt_out(pod) and '; '}{opt_out(pod)}",
            f"Have the namespace, and the labels and annotations of the pod's template, ask for it; then restart it: "
            f"`kubectl delete pod -n {namespace} {link.pod_name}`. {restore_release('istiod', INJECTOR)}",
        )
        return
    if not is_ready(pod) or "deletionTimestamp" in pod["metadata"] or sidecar not in (None, RUNNING):
        yield NOT_READY(
            f"pod {where}: condition Ready is not True; {states(pod)}{said}",
            f"Read why: `kubectl describe pod -n {namespace} {link.pod_name}`, and its containers' logs.",
        )
        return
    if not link.export.ingress and (other := misled_to(pod, link.export.entry_port, link.export.port)):
        yield MISLED(
            f"pod {where}: a container calls port {other} {link.export.entry_port}, which is how port "
            f"{link.export.port} is called in Istio's objects; Istio goes by the name",
            "Give that port of the container another name, in the pod's template; then the pod starts anew.",
        )
        return
    wanted = f"{pod['status'].get('podIP')}:{link.export.pod_port}"
    for gateway, known in endpoints.items():
        if not disabled and wanted not in (known or ()):
            places = " ".join(known or ()) or "nothing"
            yield UNKNOWN(
                f"{link.gateway_cluster} of the Envoy of {gateway} leads to {places}, not to {wanted}",
                catch_up(link.export.source),
            )
            return


def judge_whole(link: WalkedLink, endpoints: Mapping[str, tuple[str, ...] | None]) -> Iterator[HopFinding]:
    """Yield what is wrong with the pods of a Service that is exported as a whole."""
    namespace, name = service_of(link.real_host)
    for gateway, known in endpoints.items():
        if not known:
            yield UNKNOWN(
                f"{link.gateway_cluster} of the Envoy of {gateway} leads to nothing",
                f"See whether the Service has ready pods: `kubectl describe service -n {namespace} {name}`. "
                f"{catch_up(link.export.source)}",
            )
            return


def judge_service(link: WalkedLink, service: Object | None, pod: Object) -> Iterator[HopFinding]:
    """Yield what is wrong with the Service that tells the pod's own sidecar the protocol of its port."""
    namespace, port_number = link.export.namespace, link.export.port
    if not service and link.export.pod_label != POD_NAME:
        yield SERVICE(
            f"no Service of {namespace} has port {port_number} and selects the pod",
            f"Make one that does, of whatever name, with `appProtocol: {link.export.protocol.lower()}`.",
        )
        return
    if not service:
        yield SERVICE(
            f"no Service {namespace}/{link.host.split('.')[1]}",
            f"{OWN_WORKLOAD} {restore(link.export.source)} Another: create it again.",
        )
        return
    name, port = name_of(service), _port_to(pod, port_number, service)
    protocol = port and (port.get("appProtocol") or port.get("name", "").partition("-")[0])
    if not port or (link.export.protocol == "TCP" and protocol not in SERVER_FIRST):
        shown = (
            f"port {port['port']} name {port.get('name')} appProtocol {port.get('appProtocol')}"
            if port
            else f"no port {port_number}"
        )
        yield SERVICE_PORT(
            f"Service {name}: {shown}",
            f"{OWN_WORKLOAD} {restore_service(link.export.source, name)} "
            f"Another: give it port {port_number} with `appProtocol: {link.export.protocol.lower()}`.",
        )


def _service(link: WalkedLink, pod: Object) -> Object | None:
    """Return the pod's headless Service. A pod by a label may have none: then any Service that leads to its port."""
    namespace = link.export.namespace
    if link.export.pod_label == POD_NAME:
        return link.source.service(namespace, link.host.split(".")[1])
    leading = (
        of
        for of in link.source.services(namespace)
        if of["spec"].get("selector")
        and selects(of["spec"]["selector"], labels(pod))
        and _port_to(pod, link.export.port, of)
    )
    return next(leading, None)


def _port_to(pod: Object, number: int, service: Object) -> Mapping[str, Any] | None:
    """Return the port of a Service that leads to a port of a pod: it tells the sidecar the protocol."""
    spec = service["spec"]
    ports: Sequence[Mapping[str, Any]] = spec.get("ports", ())
    return next((of for of in ports if target_port(spec, of["port"], pod) == number), None)


def _said(link: WalkedLink) -> str:
    try:
        answer = link.local_answer
    except ERRORS:  # its containers do not run, or have no tools
        return ""
    return f"; its server, asked there: {answer.text}" if answer else ""


def _look(link: WalkedLink) -> Iterator[HopFinding]:
    source, namespace, pod = link.source, link.export.namespace, link.server
    endpoints = {name_of(p): source.endpoints(parse_pod(p), link.gateway_cluster) for p in link.gateway_pods}
    if is_whole(link.host):
        yield from judge_whole(link, endpoints)
        return
    policies = [] if link.ends_at_gateway else source.istio("PeerAuthentication")
    yield from judge(
        link,
        pod,
        led_to=link.led_to,
        stateful_set=source.stateful_set(namespace, link.pod_name.rpartition("-")[0]),
        endpoints=endpoints,
        disabled=bool(pod and tls_disabled(policies, pod, link.export.pod_port)),
        said=_said(link) if pod and not is_ready(pod) else "",
    )
    if pod and sidecar_state(pod) and not link.export.ingress:
        yield from judge_service(link, _service(link, pod), pod)


HOP = Hop(
    name="host's pod",
    about="the pod is ready and has the sidecar that it needs, which its Service tells the protocol, and the gateway "
    "leads to it",
    side="source",
    kinds=(ABSENT, NOT_ALONE, NO_SIDECAR, NOT_READY, MISLED, UNKNOWN, SERVICE, SERVICE_PORT),
    look=_look,
)
