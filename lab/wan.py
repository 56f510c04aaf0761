"""The WAN between the sites: who may reach whose gateway, cutting and healing it, and making it long or lossy."""

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
    """Return each permitted pair of standing sites: consumer, and the site whose gateway it may reach."""
    return sorted(
        (consumer, name)
        for name, site in lab.sites.items()
        for consumer in site.reachable_from
        if consumer in lab.sites and consumer != name
    )


def rules(lab: LabRecord) -> str:
    """Return the WAN's nftables chains.

    What a cut forbids comes before what is established, so that standing connections are cut too. The host always
    reaches the sites, even over a cut WAN; nothing starts a connection to the host.

    On an impaired WAN a packet passes twice, into the line and out of it. It is judged when it goes in; a cut loses
    those too that are under way. The host's packets and the answers to them do not go by the line.
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
            *(f'iifname "{LINE}" accept' for _ in range(lab.impaired)),
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
    """Return the chain that sends what goes from site to site by the line.

    The connection is tracked where it goes in: it would see each packet twice.
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
    """Make the WAN do what the lab's record says."""
    this = LabPaths(lab)
    if state.impaired:
        network.create_line(this, state.delay, state.loss)
    network.load_rules(this.wan_namespace, "inet wan", rules(state))
    if not state.impaired:
        network.delete_line(this)


def set_mode(lab: str, mode: Wan) -> None:
    """Cut or heal the WAN of a standing lab, for every pair of sites and for established connections too.

    Raises:
        LabError: the lab does not stand.
    """
    with lock.held(paths.STATE):
        state = standing(lab)
        apply(lab, dataclasses.replace(state, wan=mode))
        record.save(lab, dataclasses.replace(state, wan=mode))


def impair(lab: str, *, delay: float = 0, loss: float = 0) -> None:
    """Make the WAN of a standing lab long or lossy, for every pair of sites; zeros take that away.

    What is under way while that changes is lost.

    Args:
        lab: the lab.
        delay: milliseconds to add to a round trip, half of them in each direction.
        loss: share of the packets to lose in each direction, 0..1.

    Raises:
        LabError: the lab does not stand, or the WAN cannot be so.
    """
    if delay < 0 or not 0 <= loss <= 1:
        raise LabError(
            f"no WAN has a delay of {delay} ms and a loss of {loss}: give milliseconds, and a share of 0 to 1"
        )
    with lock.held(paths.STATE):
        state = dataclasses.replace(standing(lab), delay=delay, loss=loss)
        network.delete_line(LabPaths(lab))
        apply(lab, state)
        record.save(lab, state)


def describe(lab: str) -> str:
    """Return the WAN's state and who may reach whom, a line each.

    Raises:
        LabError: the lab does not stand.
    """
    state = standing(lab)
    permitted = (f"{consumer} -> {name}:{GATEWAY_PORT}" for consumer, name in pairs(state))
    return "\n".join((summary(state), *permitted))


def summary(state: LabRecord) -> str:
    """Return how the WAN is, in some words."""
    impairments = (f", {state.delay:g} ms longer" * bool(state.delay), f", loses {state.loss:.4%}" * bool(state.loss))
    return f"WAN {state.wan}{''.join(impairments)}"


def standing(lab: str) -> LabRecord:
    """Return the record of a lab that must be there.

    Raises:
        LabError: it is not.
    """
    state = record.load(lab)
    if state is None:
        raise LabError(f"lab {lab} has no sites: `python -m lab create SITE` makes one")
    return state
