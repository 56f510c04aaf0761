"""The WAN between the sites: who may reach whose gateway, and cutting and healing the line."""

import dataclasses

from lab import lock, network, paths, record
from lab.errors import LabError
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
    """
    addresses = network.LabAddresses(lab.index)
    permitted = []
    for consumer, name in pairs(lab):
        pool = addresses.site(lab.sites[name].subnet).load_balancer
        permitted.append(
            f'iifname "{consumer}" oifname "{name}" ip daddr {pool[0]}-{pool[-1]} tcp dport {GATEWAY_PORT} accept'
        )
    forward = "\n".join(
        f"            {rule}"
        for rule in (
            *_CUT[lab.wan],
            "ct state established,related accept",
            'iifname "host" accept',
            *permitted,
        )
    )
    return f"""
        chain input {{
            type filter hook input priority filter; policy drop
            iifname "host" accept
        }}
        chain forward {{
            type filter hook forward priority filter; policy drop
{forward}
        }}"""


def apply(lab: str, state: LabRecord) -> None:
    """Make the WAN do what the lab's record says, in one step."""
    network.load_rules(LabPaths(lab).wan_namespace, "inet wan", rules(state))


def set_mode(lab: str, mode: Wan) -> None:
    """Cut or heal the WAN of a standing lab, for every pair of sites and for established connections too.

    Raises:
        LabError: the lab does not stand.
    """
    with lock.held(paths.STATE):
        state = standing(lab)
        apply(lab, dataclasses.replace(state, wan=mode))
        record.save(lab, dataclasses.replace(state, wan=mode))


def describe(lab: str) -> str:
    """Return the WAN's state and who may reach whom, a line each.

    Raises:
        LabError: the lab does not stand.
    """
    state = standing(lab)
    permitted = (f"{consumer} -> {name}:{GATEWAY_PORT}" for consumer, name in pairs(state))
    return "\n".join((f"WAN {state.wan}", *permitted))


def standing(lab: str) -> LabRecord:
    """Return the record of a lab that must be there.

    Raises:
        LabError: it is not.
    """
    state = record.load(lab)
    if state is None:
        raise LabError(f"lab {lab} has no sites: `python -m lab create SITE` makes one")
    return state
