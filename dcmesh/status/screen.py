"""The status on one screen."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dcmesh.model.facts import Problem, State
from dcmesh.screen import STYLES, captured, empty_table, short
from dcmesh.status.certificates import Certificate
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.egress import EgressStatus
from dcmesh.status.gateways import GatewayStatus
from dcmesh.status.hosts import Host
from dcmesh.status.sites import Status, of_kind
from dcmesh.trust.trust_report import TrustedRoot, TrustReport


def text(status: Status | TrustReport) -> str:
    """Return what standard output is to show."""
    return captured(lambda out: show(status, out))


def show(status: Status | TrustReport, out: Console) -> None:
    """Print the verdict first, then what is wrong, then all that was found."""
    first, *others = status.problems or [Problem(state=State.OK, text="all is well")]
    more = f" (and {len(others)} more)" if others else ""
    out.print(_line(status.state, first.text + more), soft_wrap=True)
    for problem in others:
        out.print(Text("  ") + _line(problem.state, problem.text), soft_wrap=True)
    for title, table in tables(status, out.width):
        out.print()
        out.print(Text(title, "bold"), soft_wrap=True)
        out.print(table)


def _line(state: State, text: str) -> Text:
    return Text.assemble((state.name, STYLES[state]), f": {text}")


def tables(status: Status | TrustReport, width: int) -> Iterable[tuple[str, Table]]:
    """Yield a title and a table for each kind of fact that was found, for a screen of that width."""
    if isinstance(status, TrustReport):
        if status.roots:
            yield "Roots", _roots(status.roots)
        return
    facts = status.facts
    if gateways := of_kind(GatewayStatus, facts):
        yield "Gateways", _gateways(gateways)
    if egress := of_kind(EgressStatus, facts):
        yield "Egress gateways", _egress(egress)
    hosts = sorted(of_kind(Host, facts), key=_link)
    for (source, site, addresses), group in groupby(hosts, key=_link):
        yield f"Link {source} to {site} by {' '.join(addresses)}", _hosts(list(group), width)
    if servers := of_kind(DatabaseServer, facts):
        yield "Databases", _servers(servers, width)
    if certificates := of_kind(Certificate, facts):
        yield "Certificates", _certificates(certificates)


def _mark(state: State) -> Text:
    return Text(state.name.lower(), STYLES[state])


def _gateways(gateways: Sequence[GatewayStatus]) -> Table:
    table = empty_table(short(""), "site", short("pods"), "address", "importers are told")
    for gateway in gateways:
        told = " ".join(f"{address}:{gateway.told_port}" for address in gateway.told_addresses)
        pods = "?" if gateway.unknown else f"{gateway.ready}/{gateway.wanted}"
        table.add_row(_mark(gateway.state), gateway.site, pods, " ".join(gateway.addresses) or "?", told)
    return table


def _egress(gateways: Sequence[EgressStatus]) -> Table:
    table = empty_table(short(""), "site", "egress gateway", short("pods"), "closed to other pods")
    for gateway in gateways:
        pods = "?" if gateway.unknown else f"{gateway.ready}/{gateway.wanted}"
        closed = {True: "no", False: "yes", None: "?"}[gateway.open]
        table.add_row(_mark(gateway.state), gateway.site, gateway.account, pods, closed)
    return table


def _link(host: Host) -> tuple[str, str, tuple[str, ...]]:
    return host.source, host.site, host.gateways


def _hosts(hosts: Sequence[Host], width: int) -> Table:
    table = empty_table(
        short(""), _names("host", [h.host for h in hosts], width), short("port"), "asked by", "answer now", "must be"
    )
    for host in hosts:
        answer = host.answer.text if host.answer else "?"
        table.add_row(_mark(host.state), host.host, str(host.port), host.consumer, answer, host.must_be)
    return table


def _names(header: str, names: Iterable[str], width: int) -> Column:
    """Return a column for names of hosts. It is not folded if it leaves enough room for the other columns."""
    return Column(header, overflow="fold", no_wrap=max(map(len, names), default=0) <= width // 3)


def _servers(servers: Sequence[DatabaseServer], width: int) -> Table:
    source = _names("follows", [server.source for server in servers], width)
    table = empty_table(short(""), "site", "server", source, short("behind", "right"), short("writes"), "GTID")
    for server in servers:
        writes = {True: "no", False: "yes", None: "?"}[server.read_only]
        shown = (server.name, server.leader, server.lag, writes, server.position)
        table.add_row(_mark(server.state), server.site, *shown)
    return table


def _certificates(certificates: Sequence[Certificate]) -> Table:
    table = empty_table(short(""), "site", short("of"), "subject", short("expires (UTC)"), short("left", "right"))
    for certificate in certificates:
        shown = (certificate.site, certificate.kind, certificate.subject, certificate.end, certificate.left)
        table.add_row(_mark(certificate.state), *shown)
    return table


def _roots(roots: Sequence[TrustedRoot]) -> Table:
    table = empty_table(short(""), "", "trusted by", "used by", "may issue", "may be dropped")
    for root in roots:
        asked = root.trusted_by + len(root.not_trusted_by)
        shares = (f"{root.trusted_by} of {asked}", f"{len(root.used_by)} of {asked}")
        may = ("yes" if root.may_issue else "no", "yes" if root.may_go else "no")
        table.add_row(root.fingerprint[:16], root.subject, *shares, *may)
    return table
