"""The status on one screen."""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dcmesh.model.facts import Problem, State
from dcmesh.model.printable import printable
from dcmesh.status.certificates import Certificate
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.gateways import GatewayStatus
from dcmesh.status.hosts import Host
from dcmesh.status.sites import Status, of_kind
from dcmesh.trust.roots import TrustedRoot, TrustReport

STYLES = {State.OK: "green", State.WARNING: "yellow", State.CRITICAL: "bold red", State.UNKNOWN: "magenta"}

WIDTH = 120
"""How wide the screen is where there is none: in a pipe, or in a monitor's log."""


def text(status: Status | TrustReport) -> str:
    """Return what standard output is to show."""
    return captured(lambda out: show(status, out))


class Screen(Console):
    """A console on which text is nothing but text, neither markup nor codes for a terminal: much is somebody else's."""

    def print(self, *objects: Any, **how: Any) -> None:  # noqa: ANN401 — as the console has it
        """Print as a console does. Of what has styles, these stay."""
        super().print(*map(self._harmless, objects), **how)

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 — as the console has it
        """Return a text that stands in a table or in its title, and what it says is no markup."""
        return super().render_str(printable(text), **(how | {"markup": False, "emoji": False, "highlight": False}))

    def _harmless(self, shown: Any) -> Any:  # noqa: ANN401 — whatever can be printed
        if not isinstance(shown, Text):
            return shown
        parts = [(printable(part.text), part.style or "") for part in shown.render(self)]
        return Text.assemble(*parts, style=shown.style, end=shown.end)


def captured(show: Callable[[Console], None]) -> str:
    """Return what is shown on a console such as standard output is."""
    out = Screen(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    with out.capture() as shown:
        show(out)
    return shown.get()


def show(status: Status | TrustReport, out: Console) -> None:
    """Print the verdict first, then what is wrong, then all that was found."""
    first, *others = status.problems or [Problem(state=State.OK, text="all is well")]
    more = f" (and {len(others)} more)" if others else ""
    out.print(_line(status.state, first.text + more), soft_wrap=True)
    for problem in others:
        out.print(Text("  ") + _line(problem.state, problem.text), soft_wrap=True)
    for table in tables(status):
        out.print()
        out.print(table)


def _line(state: State, text: str) -> Text:
    return Text.assemble((state.name, STYLES[state]), f": {text}")


def tables(status: Status | TrustReport) -> Iterable[Table]:
    """Return a table for each kind of fact that there is."""
    if isinstance(status, TrustReport):
        if status.roots:
            yield _roots(status.roots)
        return
    facts = status.facts
    if gateways := of_kind(GatewayStatus, facts):
        yield _gateways(gateways)
    hosts = sorted(of_kind(Host, facts), key=_link)
    for _, group in groupby(hosts, key=_link):
        yield _hosts(list(group))
    if servers := of_kind(DatabaseServer, facts):
        yield _servers(servers)
    if certificates := of_kind(Certificate, facts):
        yield _certificates(certificates)


def _table(title: str, *columns: str | Column) -> Table:
    return Table(
        Column("", no_wrap=True),
        *(Column(column, no_wrap=True) if isinstance(column, str) else column for column in columns),
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def _mark(state: State) -> Text:
    return Text(state.name.lower(), STYLES[state])


def _gateways(gateways: Sequence[GatewayStatus]) -> Table:
    table = _table("Gateways", "site", "pods", "address", "importers are told")
    for gateway in gateways:
        told = " ".join(f"{address}:{gateway.told_port}" for address in gateway.told_addresses)
        pods = "?" if gateway.unknown else f"{gateway.ready}/{gateway.wanted}"
        table.add_row(_mark(gateway.state), gateway.site, pods, " ".join(gateway.addresses) or "?", told)
    return table


def _link(host: Host) -> tuple[str, str, tuple[str, ...]]:
    return host.source, host.site, host.gateways


def _hosts(hosts: Sequence[Host]) -> Table:
    source, site, gateways = _link(hosts[0])
    table = _table(
        f"Link {source} to {site} by {' '.join(gateways)}", "host", "port", "asked by", "answer now", "must be"
    )
    for host in hosts:
        answer = host.answer.text if host.answer else "?"
        identity = "/".join(host.identity.split("/")[-3::2])  # spiffe://DOMAIN/ns/NAMESPACE/sa/NAME
        table.add_row(_mark(host.state), host.host, str(host.port), host.consumer, answer, identity)
    return table


def _servers(servers: Sequence[DatabaseServer]) -> Table:
    behind, gtid = Column("behind", no_wrap=True, justify="right"), Column("GTID", overflow="fold")
    table = _table("Databases", "site", "server", "follows", behind, "writes", gtid)
    for server in servers:
        follows = server.source or ("nobody" if server.follows else "primary")
        lag = f"{server.seconds_behind} s" if server.running else "stopped" if server.source else ""
        if server.unknown or server.down:
            follows, lag = "?", "?"
        writes = {True: "no", False: "yes", None: "?"}[server.read_only]
        name = f"{server.namespace}/{server.pod}"
        table.add_row(_mark(server.state), server.site, name, follows, lag, writes, server.position)
    return table


def _certificates(certificates: Sequence[Certificate]) -> Table:
    left = Column("left", no_wrap=True, justify="right")
    table = _table("Certificates", "site", "of", "subject", "expires (UTC)", left)
    for certificate in certificates:
        expires = f"{certificate.expires:%Y-%m-%d %H:%M}" if certificate.expires else "?"
        row = (certificate.site, certificate.kind, certificate.subject, expires, _duration(certificate.days_left))
        table.add_row(_mark(certificate.state), *row)
    return table


def _roots(roots: Sequence[TrustedRoot]) -> Table:
    table = _table("Roots", "", "trusted by", "used by", "may issue", "may be dropped")
    for root in roots:
        asked = root.trusted_by + len(root.not_trusted_by)
        shares = (f"{root.trusted_by} of {asked}", f"{len(root.used_by)} of {asked}")
        may = ("yes" if root.may_issue else "no", "yes" if root.may_go else "no")
        table.add_row(root.fingerprint[:16], root.subject, *shares, *may)
    return table


def _duration(days: float | None) -> str:
    if days is None:
        return "?"
    return f"{days:.0f} days" if days >= 2 else f"{timedelta(days=days) // timedelta(hours=1)} hours"
