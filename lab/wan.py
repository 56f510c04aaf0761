"""The WAN between the sites: who may reach whose gateway, and how it is cut, healed, and made long or lossy."""

import dataclasses

from lab import lock, network, paths, record
from lab.errors import LabError
from lab.line import INTERFACE as LINE
from lab.paths import LabPaths
from lab.record import LabRecord, Wan

GATEWAY_PORT = 15443

_CUT = {
    Wan.UP: (),
    Wan.DROP: ('iifname != "host" oifname != "host" drop',),
    Wan.RESET: (
        'iifname != "host" oifname != "host" meta l4proto tcp reject with tcp reset',
        'iifname != "host" oifname != "host" drop',
    ),
}


def pairs(lab: LabRecord) -> list[tuple[str, str]]:
    """Return each permitted pair of existing sites: a consumer, and the site whose gateway it may reach."""
    return sorted(
        (consumer, name)
        for name, site in lab.sites.items()
        for consumer in site.reachable_from
        if consumer in lab.sites and consumer != name
    )


def rules(lab: LabRecord) -> str:
    """Return the WAN's nftables chains.

    The rules of a cut come before the rule for established connections, so that those are cut as well. The host always
    reaches the sites, even over a cut WAN. Nothing can start a connection to the host.

    On an impaired WAN a packet passes these rules twice: into the line and out of it. The rules decide when it goes in.
    A cut also loses the packets that are in the line. Packets of the host, and answers to them, do not use the line.
    """
    addresses = network.LabAddresses(lab.index)
    permitted = []
    for consumer, name in pairs(lab):
        pool = addresses.site(lab.sites[name].subnet).load_balancer
        way = LINE if lab.impaired else name
        permitted.append(
            f'iifname "{consumer}" oifname "{way}" ip daddr {pool[0]}-{pool[-1]} tcp dport {GATEWAY_PORT} accept'
        )
    forward = "\n".join(
        f"            {rule}"
        for rule in (
            *_CUT[lab.wan],
            *([f'iifname "{LINE}" accept'] if lab.impaired else []),
            "ct state established,related accept",
            'iifname "host" accept',
            *permitted,
        )
    )
    return f"""{_detour(lab) if lab.impaired else ""}
        chain input {{
            type filter hook input priority filter; policy drop
            iifname "host" accept
        }}
        chain forward {{
            type filter hook forward priority filter; policy drop
{forward}
        }}"""


def _detour(lab: LabRecord) -> str:
    """Return the chain that sends packets from site to site through the line.

    A packet is tracked only where it goes into the line. Otherwise connection tracking would see each packet twice.
    """
    addresses = network.LabAddresses(lab.index)
    sites = ", ".join(str(addresses.site(site.subnet).network) for site in lab.sites.values())
    return f"""
        chain prerouting {{
            type filter hook prerouting priority raw
            iifname "{LINE}" notrack
            iifname != {{ "host", "{LINE}" }} ip daddr {{ {sites} }} meta mark set {network.LINE_MARK}
        }}"""


def apply(lab: str, state: LabRecord) -> None:
    """Set up the WAN as the lab's record says."""
    this = LabPaths(lab)
    if state.impaired:
        network.create_line(this, state.delay, state.loss)
    network.load_rules(this.wan_namespace, "inet wan", rules(state))
    if not state.impaired:
        network.delete_line(this)


def set_mode(lab: str, mode: Wan) -> None:
    """Cut or heal the WAN of an existing lab, for every pair of sites, including established connections.

    Raises:
        LabError: the lab does not exist.
    """
    with lock.held(paths.STATE):
        state = standing(lab)
        apply(lab, dataclasses.replace(state, wan=mode))
        record.save(lab, dataclasses.replace(state, wan=mode))


def impair(lab: str, *, delay: float = 0, loss: float = 0) -> None:
    """Make the WAN of an existing lab long or lossy, for every pair of sites. Zeros remove both.

    Packets that are under way during the change are lost.

    Args:
        lab: the lab.
        delay: milliseconds to add to a round trip, half of them in each direction.
        loss: share of the packets to lose in each direction, 0..1.

    Raises:
        LabError: the lab does not exist, or the values are impossible.
    """
    if not (delay >= 0 and 0 <= loss <= 1):
        raise LabError(
            f"no WAN has a delay of {delay} ms and a loss of {loss}: give milliseconds, and a share of 0 to 1"
        )
    with lock.held(paths.STATE):
        state = dataclasses.replace(standing(lab), delay=delay, loss=loss)
        network.delete_line(LabPaths(lab))
        apply(lab, state)
        record.save(lab, state)


def describe(lab: str) -> str:
    """Return the WAN's state and who may reach whom, as lines.

    Raises:
        LabError: the lab does not exist.
    """
    state = standing(lab)
    permitted = (f"{consumer} -> {name}:{GATEWAY_PORT}" for consumer, name in pairs(state))
    return "\n".join((summary(state), *permitted))


def summary(state: LabRecord) -> str:
    """Return the WAN's state in a few words."""
    longer = f", {state.delay:g} ms longer" if state.delay else ""
    lossy = f", loses {state.loss * 100:g}% each way" if state.loss else ""
    return f"WAN {state.wan}{longer}{lossy}"


def standing(lab: str) -> LabRecord:
    """Return the record of a lab that must exist.

    Raises:
        LabError: the lab does not exist.
    """
    state = record.load(lab)
    if state is None:
        raise LabError(f"lab {lab} has no sites: `python -m lab create SITE` makes one")
    return state
