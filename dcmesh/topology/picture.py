"""The picture: two sites beside each other, their doors face to face, and lines from door to door."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from dcmesh.model.facts import worst
from dcmesh.status.certificates import Certificate
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.egress import EgressStatus
from dcmesh.status.exports import Export
from dcmesh.status.gateways import GatewayPods, GatewayStatus
from dcmesh.status.sites import SiteStatus, Status, of_kind
from dcmesh.topology.html import Content, Element, badge, element, items, name
from dcmesh.topology.lines import Line, Pair, pairs_of

MANY = 8
"""How many hosts of an export are shown; more are folded."""

ENDS_AT = {"pod": "at the pods", "gateway": "at the gateway", "ingress": "at the pods' ingress ports"}
"""Where TLS ends, by termination."""


def picture(status: Status) -> Element:
    """Return the sites, each linked pair in a picture of its own, and those that have no link by themselves."""
    sites = {site.name: site for site in status.sites}
    pairs = pairs_of(status)
    linked = {end for pair in pairs for end in (pair.left, pair.right)}
    alone = [site for site in status.sites if site.name not in linked]
    return element(
        "section",
        element("h2", "Sites and links"),
        *(_pair(pair, sites) for pair in pairs),
        *(element("div", _site(site.name, site, ()), class_="pair alone") for site in alone),
        _legend(),
        class_="picture",
    )


def _pair(pair: Pair, sites: Mapping[str, SiteStatus]) -> Element:
    lines = pair.lines
    return element(
        "div",
        _site(pair.left, sites.get(pair.left), lines),
        element(
            "div", *(_wire(line, "left" if line.source == pair.left else "right") for line in lines), class_="wires"
        ),
        _site(pair.right, sites.get(pair.right), lines),
        class_="pair",
        style=f"--lines: {len(lines)}",
    )


def _site(called: str, site: SiteStatus | None, lines: Sequence[Line]) -> Element:
    """Return a site.

    Args:
        called: its name.
        site: how it is; None if another stack has it.
        lines: the lines that lead to its doors.
    """
    facts = site.facts if site else ()
    gateway = next(iter(of_kind(GatewayStatus, facts)), None)
    egress = {gateway.account: gateway for gateway in of_kind(EgressStatus, facts)}
    exported = [line for line in lines if line.source == called]
    into = [_gateway_door(gateway, exported)] if exported or (gateway and not lines) else []
    out = [_consumer_door(line, egress.get(line.consumer)) for line in lines if line.site == called]
    # Doors are in the order of their lines: those that lead to the site on the left come first.
    doors = [*into, *out] if exported and exported[0] is lines[0] else [*out, *into]
    inside = element(
        "div",
        element("h3", called, *((" ", badge(site.state)) if site else ())),
        *(_inside(site) if site else [element("p", "Another stack has this site: it was not asked.", class_="aside")]),
        class_="inside",
    )
    return element(
        "article", element("div", *doors, class_="doors"), inside, class_="site" if site else "site elsewhere"
    )


def _gateway_door(gateway: GatewayStatus | None, lines: Sequence[Line]) -> Element:
    told = [f"{address}:{gateway.told_port}" for address in gateway.told_addresses] if gateway else lines[0].gateways
    return _door("gateway", told, gateway, rows=len(lines))


def _consumer_door(line: Line, egress: EgressStatus | None) -> Element:
    kind = "egress gateway" if egress else "sidecar" if line.hosts else "consumer"
    return _door(kind, [line.consumer], egress)


def _door(kind: str, names: Iterable[str], pods: GatewayPods | None, rows: int = 1) -> Element:
    """Return a door of a site.

    Args:
        kind: what it is.
        names: its names, or addresses.
        pods: how its pods are, if it has any of its own.
        rows: how many lines lead to it.
    """
    ready = f"{pods.ready} of {pods.wanted} pods" if pods and not pods.unknown else "not asked"
    return element(
        "div",
        element("p", kind, class_="kind"),
        *(element("p", name(of)) for of in names),
        *([element("p", badge(pods.state), f" {ready}", class_="aside")] if pods else []),
        class_="door",
        style=f"--rows: {max(rows, 1)}",
    )


def _wire(line: Line, towards: str) -> Element:
    """Return the lines between two doors.

    Args:
        line: what is reached.
        towards: on which side the exporting site is: `left` or `right`.
    """
    if line.state is None:
        said: list[Content] = ["not asked"]
    else:
        said = [badge(line.state), f" {_answers(line)}"]
    state = "unasked" if line.state is None else line.state.name.lower()
    back = "right" if towards == "left" else "left"
    way = element("p", name(line.consumer), f" to {line.source}", class_="way")  # for a screen where doors are far away
    strands = [_strand(f"connection {state} {towards}", way, element("p", *said))]
    if line.replicas:
        states = worst(server.state for server in line.replicas).name.lower()
        shown = [element("p", name(server.name), f" {_behind(server)}") for server in line.replicas]
        strands.append(_strand(f"rows {states} {back}", *shown))
    return element("div", *strands, class_="wire")


def _answers(line: Line) -> str:
    """Return how many hosts answer, in words."""
    answers = sum(bool(host.answer and host.answer.ok) for host in line.hosts)
    if len(line.hosts) == 1:
        return "its host answers" if answers else "its host does not answer"
    return f"{answers} of {len(line.hosts)} hosts answer"


def _strand(how: str, *words: Content) -> Element:
    return element("div", element("div", class_="line"), element("div", *words, class_="words"), class_=f"strand {how}")


def _behind(server: DatabaseServer) -> str:
    return f"{server.lag} behind" if server.running else server.lag


def _inside(site: SiteStatus) -> Iterator[Content]:
    """Yield what a site has."""
    if site.unreachable or site.lost:
        yield element("p", "It is gone, by the configuration." if site.lost else "Its cluster did not answer.")
    if exports := of_kind(Export, site.facts):
        yield element("h4", "Exports")
        for _, ports in groupby(exports, key=lambda export: export.name):
            yield _export([*ports])
    if servers := of_kind(DatabaseServer, site.facts):
        yield element("h4", "Databases")
        yield items(map(_server, servers), class_="servers")
    ends = _ends(of_kind(Certificate, site.facts))
    if ends:
        yield element("h4", "Certificates")
        yield items((f"{kind}: {left}" for kind, left in ends.items()), class_="ends")


def _export(ports: Sequence[Export]) -> Element:
    """Return an export, of which each port is a fact."""
    export = ports[0]
    numbers = ", ".join(str(of.port) for of in ports)
    where = f"port{'s' if len(ports) > 1 else ''} {numbers}; TLS ends {ENDS_AT[export.termination]}"
    hosts = items(map(name, export.hosts), class_="hosts")
    if len(export.hosts) > MANY:
        hosts = element("details", element("summary", f"{len(export.hosts)} hosts"), hosts)
    consumers = [part for consumer in export.consumers for part in (", ", f"{consumer.site} ", name(consumer.account))]
    return element(
        "div",
        badge(worst(of.state for of in ports)),
        element("p", name(f"{export.namespace}/{export.name}"), class_="called"),
        element("p", where, class_="aside"),
        hosts,
        element("p", "for ", *(consumers[1:] or ["nobody yet"]), class_="aside"),
        class_="export",
    )


def _server(server: DatabaseServer) -> Element:
    follows = server.source and not server.unknown and not server.down
    what = ["follows ", name(server.source), f", {_behind(server)}"] if follows else [server.leader]
    return element("div", badge(server.state), name(server.name), element("p", *what, class_="aside"))


def _ends(certificates: Iterable[Certificate]) -> dict[str, str]:
    """Return by kind how long the first to end is still valid, in words."""
    first = dict[str, Certificate]()
    for certificate in certificates:
        before = first.get(certificate.kind)
        if certificate.days_left is not None and (before is None or certificate.days_left < (before.days_left or 0)):
            first[certificate.kind] = certificate
    return {
        kind: certificate.left if (certificate.days_left or 0) <= 0 else f"{certificate.left} left"
        for kind, certificate in first.items()
    }


def _legend() -> Element:
    samples = (
        ("connection ok right", "connects by mutual TLS to a gateway"),
        ("connection warning right", "works, and somebody should look"),
        ("connection critical right", "a host does not answer"),
        ("connection unasked right", "not asked"),
        ("rows ok right", "rows of a database flow"),
    )
    drawn = (
        element("div", element("span", element("span", class_="line"), class_=f"strand {how}"), f" {means}")
        for how, means in samples
    )
    return items(drawn, class_="legend")
