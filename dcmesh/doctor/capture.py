"""Capture: a pod sends the link's traffic through its sidecar, and not past it.

The arguments of the pod's init container say what is in force. To change that, one changes an annotation, or one of
istiod's values.
"""

import json
import shlex
from collections.abc import Iterator, Sequence

from dcmesh.doctor.evidence import Evidence, sidecar_state
from dcmesh.doctor.findings import FindingKind, HopFinding
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.policy import behind_gateway
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.model.capture import Past, Rules, Setting, past_inbound, past_outbound
from dcmesh.model.istio import ISTIO_NAMESPACE
from dcmesh.model.istio_objects import Object, annotations, name_of
from dcmesh.model.peer_authentication import tls_disabled

INBOUND = FindingKind(
    "inbound-not-captured",
    "the host's pod leads its port past its sidecar: TLS arrives at the server itself, which does not know it",
)
OUTBOUND = FindingKind(
    "outbound-not-captured", "the consumer's pod leads the host's virtual address past its sidecar, where nobody has it"
)


# --- where it is set, and how to change it -------------------------------------------------------------------------


def seen_and_fix(side: Evidence, pod: Object, past: Past) -> tuple[str, str]:
    """Return which setting leads traffic past a pod's sidecar, and what to do."""
    setting, wanted = past
    key, owner, (template, of) = setting.annotation, side.owner(pod), side.template(pod)
    own, everywhere = annotations(template).get(key), _everywhere(side, pod, setting)
    if own is not None:
        seen = f'annotation {key}: "{own}" in {of}'
    else:
        seen = f'{of} has no annotation {key}; its init container has {setting.flag} "{Rules(pod)[setting]}"'
    if own is None and everywhere == setting.default:
        again = f"kubectl delete pod -n {name_of(pod).replace('/', ' ')}"
        return seen, f"Nothing sets it any more: restart the pod, `{again}`."
    if own is None:
        seen += (
            f', from global.proxy.{setting.everywhere}: "{everywhere}" of istiod\'s values (ConfigMap {_injector(pod)})'
        )
    # An annotation overrides istiod's value, even if it is empty.
    value = None if own is not None and wanted == everywhere else wanted
    if not owner:
        return seen, f'Create the pod anew, with {key}: "{wanted}".'
    patch = json.dumps({"spec": {"template": {"metadata": {"annotations": {key: value}}}}})
    what = f"{owner['kind'].lower()} -n {name_of(owner).replace('/', ' ')}"
    return seen, (
        f"Run `kubectl patch {what} --type=merge --patch {shlex.quote(patch)}`, which starts its pods anew, and write "
        "it so into what it was deployed from."
    )


def _everywhere(side: Evidence, pod: Object, setting: Setting) -> str:
    """Return the setting for all pods in istiod's values."""
    if not setting.everywhere:
        return setting.default
    found = side.config_map(*_injector(pod).split("/"))
    values = json.loads(found["data"].get("values", "{}")) if found else {}
    return str(values.get("global", {}).get("proxy", {}).get(setting.everywhere, setting.default))


def _injector(pod: Object) -> str:
    """Return namespace and name of the ConfigMap from which a pod's sidecar was injected."""
    revision = annotations(pod).get("istio.io/rev", "default")
    return f"{ISTIO_NAMESPACE}/istio-sidecar-injector{'' if revision == 'default' else f'-{revision}'}"


# --- the two ends --------------------------------------------------------------------------------------------------


def _look_at_consumer(link: WalkedLink) -> Iterator[HopFinding]:
    side, pod = link.consumer, link.client_object
    for address in link.entry["spec"].get("addresses", ())[:1] if link.entry else ():
        if past := past_outbound(Rules(pod), address, link.export.port):
            seen, fix = seen_and_fix(side, pod, past)
            yield OUTBOUND(f"pod {name_of(pod)}, {address}:{link.export.port}: {seen}", fix)


def _look_at_source(link: WalkedLink) -> Iterator[HopFinding]:
    if link.ends_at_gateway:
        yield from judge_behind_gateway(behind_gateway(link), link.source.istio("PeerAuthentication"))
        return
    pod = link.server
    port = link.export.pod_port
    if pod and (past := past_inbound(Rules(pod), port)):
        seen, fix = seen_and_fix(link.source, pod, past)
        yield INBOUND(f"pod {name_of(pod)}, port {port}: {seen}", fix)


def judge_behind_gateway(behind: Sequence[tuple[Object, int]], peers: Sequence[Object]) -> Iterator[HopFinding]:
    """Yield pods whose server gets TLS from the gateway, which assumes that a pod's sidecar ends the TLS.

    Args:
        behind: the pods, each with the port that it listens on.
        peers: the PeerAuthentications of the cluster.
    """
    for pod, port in behind:
        past = past_inbound(Rules(pod), port) if sidecar_state(pod) else None
        if past and not tls_disabled(peers, pod, port):
            yield INBOUND(
                f"pod {name_of(pod)}, port {port}: {past[0].annotation} leads it past, and the gateway speaks TLS",
                "Add a PeerAuthentication that selects the pod, with "
                f"`portLevelMtls: {{{port}: {{mode: DISABLE}}}}`: then the gateway speaks plaintext with it.",
            )
            return


CONSUMERS = Hop(
    name="consumer's capture",
    about="the consumer's pod leads the host's address and port into its sidecar",
    side="consumer",
    kinds=(OUTBOUND,),
    look=_look_at_consumer,
    egress="sidecar",
)
SOURCES = Hop(
    name="host's capture",
    about="the host's pod leads its port into its sidecar",
    side="source",
    kinds=(INBOUND,),
    look=_look_at_source,
)
