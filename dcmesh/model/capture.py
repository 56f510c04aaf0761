"""Capture: which part of a pod's traffic its sidecar gets.

The rules are those of Istio's `istio-iptables`, in its order (tools/istio-iptables/pkg/capture/run.go of 1.31).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from dcmesh.model.addresses import VIP_NETWORK, is_ip
from dcmesh.model.istio_objects import Object, annotations

INIT = ("istio-init", "istio-validation")
"""Init containers whose arguments are the rules. The first sets them; the second checks those of istio-cni."""

AGENT = (15020, 15021, 15090)
"""The sidecar's own ports, which Istio excludes by itself."""

OWN_INTERFACE = "eth0"
"""A pod's own interface, as container runtimes name it. A link's traffic comes and goes by it."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What decides whether a sidecar gets a pod's traffic.

    Attributes:
        annotation: the pod's annotation.
        flag: the init container's argument.
        everywhere: the setting for all pods, below `global.proxy` in istiod's values; empty if there is none.
        default: the value if none of them is set.
    """

    annotation: str
    flag: str
    everywhere: str = ""
    default: str = ""


def _traffic(name: str, flag: str, everywhere: str = "", default: str = "") -> Setting:
    return Setting(annotation=f"traffic.sidecar.istio.io/{name}", flag=flag, everywhere=everywhere, default=default)


MODE = Setting(annotation="sidecar.istio.io/interceptionMode", flag="-m", default="REDIRECT")
PORTS_IN = _traffic("includeInboundPorts", "-b", "includeInboundPorts", "*")
PORTS_NOT_IN = _traffic("excludeInboundPorts", "-d", "excludeInboundPorts")
RANGES_OUT = _traffic("includeOutboundIPRanges", "-i", "includeIPRanges", "*")
RANGES_NOT_OUT = _traffic("excludeOutboundIPRanges", "-x", "excludeIPRanges")
PORTS_OUT = _traffic("includeOutboundPorts", "-q", "includeOutboundPorts")
PORTS_NOT_OUT = _traffic("excludeOutboundPorts", "-o", "excludeOutboundPorts")
INTERFACES_NOT = _traffic("excludeInterfaces", "-c")
# Traffic that comes in by such an interface, a virtual machine's, is treated as if it went out.
INTERFACES_OUT = Setting(annotation="istio.io/reroute-virtual-interfaces", flag="-k")
INTERFACES_OUT_OLD = _traffic("kubevirtInterfaces", "-k")


def for_dcmesh_alone(*, ingress: Iterable[int], out: str) -> dict[str, str]:
    """Return the annotations of pods whose sidecar takes in and out what crosses between sites, and nothing else.

    Args:
        ingress: the ingress ports.
        out: the range of the virtual addresses, where the pods import anything; else empty.
    """
    return {PORTS_IN.annotation: ",".join(map(str, ingress)), RANGES_OUT.annotation: out}


DNS_CAPTURE = {"ISTIO_META_DNS_CAPTURE": "true"}
"""The variable in a sidecar's environment that makes it answer its pod's DNS queries."""


@dataclass(frozen=True)
class Rules:
    """The rules that are in force in a pod."""

    pod: Object

    def __getitem__(self, setting: Setting) -> str:
        """Return a setting's value: the init container's argument, or, without such a container, the annotation's."""
        for container in self.pod["spec"].get("initContainers", ()):
            if container["name"] in INIT and container.get("args"):
                arguments: dict[str, str] = dict(pairwise(container["args"]))
                return arguments.get(setting.flag, "")
        return annotations(self.pod).get(setting.annotation, setting.default)

    def has(self, setting: Setting, one: object) -> bool:
        """Tell whether a setting's value is a list with this item."""
        return str(one) in split(self[setting])

    def without(self, setting: Setting, *ones: object) -> str:
        """Return a setting's list without these items."""
        return ",".join(one for one in split(self[setting]) if one not in map(str, ones))

    def beside(self, setting: Setting, one: object) -> str:
        """Return a setting's list with this item added."""
        return ",".join([*split(self[setting]), str(one)])


def split(value: str) -> list[str]:
    """Return the items of a list."""
    return [part.strip() for part in value.split(",") if part.strip()]


Past = tuple[Setting, str]
"""A setting that leads something past the sidecar, and the value with which it would not."""


def past_inbound(rules: Rules, port: int) -> Past | None:
    """Return what leads a port past a pod's sidecar; None if it gets there."""
    if rules[MODE] == "NONE":
        return MODE, MODE.default
    for setting in (INTERFACES_NOT, interfaces_out(rules)):
        if rules.has(setting, OWN_INTERFACE):
            return setting, rules.without(setting, OWN_INTERFACE)
    if rules[PORTS_IN] != "*":  # then a port is excluded only if it is not in the list
        return None if rules.has(PORTS_IN, port) else (PORTS_IN, rules.beside(PORTS_IN, port))
    return (PORTS_NOT_IN, rules.without(PORTS_NOT_IN, port, *AGENT)) if rules.has(PORTS_NOT_IN, port) else None


def past_outbound(rules: Rules, address: str, port: int) -> Past | None:
    """Return what leads an address and port past a pod's sidecar; None if they get there."""
    if rules[MODE] == "NONE":
        return MODE, MODE.default
    if rules.has(INTERFACES_NOT, OWN_INTERFACE):
        return INTERFACES_NOT, rules.without(INTERFACES_NOT, OWN_INTERFACE)
    if rules.has(PORTS_NOT_OUT, port):
        return PORTS_NOT_OUT, rules.without(PORTS_NOT_OUT, port)
    if excluding := [found for found in split(rules[RANGES_NOT_OUT]) if within(address, found)]:
        return RANGES_NOT_OUT, rules.without(RANGES_NOT_OUT, *excluding)
    if rules.has(PORTS_OUT, port) or any(within(address, found) for found in split(rules[RANGES_OUT])):
        return None
    return RANGES_OUT, rules.beside(RANGES_OUT, VIP_NETWORK)


def interfaces_out(rules: Rules) -> Setting:
    """Return which of its two names sets the interfaces of virtual machines. The new name wins."""
    known = annotations(rules.pod)
    old = INTERFACES_OUT_OLD.annotation in known and INTERFACES_OUT.annotation not in known
    return INTERFACES_OUT_OLD if old else INTERFACES_OUT


def within(address: str, network: str) -> bool:
    """Tell whether a network, or `*`, contains an address."""
    return network == "*" or (is_ip(address) and ipaddress.ip_address(address) in ipaddress.ip_network(network, False))
