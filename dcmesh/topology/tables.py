"""What stands below the picture: hosts, databases and certificates, one by one."""

from collections.abc import Iterable, Iterator, Sequence

from dcmesh.model.facts import Fact
from dcmesh.status.certificates import Certificate
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.hosts import Host
from dcmesh.status.sites import Status, of_kind
from dcmesh.topology.html import Content, Element, badge, element, name


def tables(status: Status) -> Iterator[Element]:
    """Yield a section with a table for each kind of fact that there is."""
    facts = status.facts
    if hosts := of_kind(Host, facts):
        yield _table("Hosts", "site|reaches|asked by|in|answer|must be", map(_host, hosts), hosts)
    if servers := of_kind(DatabaseServer, facts):
        yield _table("Replication", "site|server|follows|behind|writes|GTID", map(_server, servers), servers)
    if certificates := of_kind(Certificate, facts):
        columns = "site|of|subject|ends (UTC)|left"
        yield _table("Certificates", columns, map(_certificate, certificates), certificates)


def _table(title: str, header: str, rows: Iterable[Sequence[Content]], facts: Iterable[Fact]) -> Element:
    """Return a table. Each cell knows its column: on a narrow screen it is shown beside it."""
    columns = header.split("|")
    headers = element("tr", element("th", "state", scope="col"), *(element("th", of, scope="col") for of in columns))
    body = [
        element(
            "tr",
            element("td", badge(fact.state)),
            *(element("td", cell, data_column=column) for column, cell in zip(columns, row, strict=True)),
        )
        for fact, row in zip(facts, rows, strict=True)
    ]
    return element(
        "section",
        element("h2", title),
        element("table", element("thead", headers), element("tbody", *body)),
    )


def _host(host: Host) -> Sequence[Content]:
    answer = host.answer.text if host.answer else "?"
    reached = name(f"{host.host}:{host.port}")
    return (host.site, reached, name(host.consumer), host.source, answer, name(host.must_be))


def _server(server: DatabaseServer) -> Sequence[Content]:
    writes = {True: "no", False: "yes", None: "?"}[server.read_only]
    leader = name(server.leader) if server.source else server.leader
    return (server.site, name(server.name), leader, server.lag, writes, name(server.position))


def _certificate(certificate: Certificate) -> Sequence[Content]:
    return (certificate.site, certificate.kind, name(certificate.subject), certificate.end, _left(certificate))


def _left(certificate: Certificate) -> Element:
    """Return how long a certificate is still valid, in words and as a part of its whole time."""
    left = element("span", certificate.left)
    if certificate.issued and certificate.expires and certificate.days_left is not None:
        whole = (certificate.expires - certificate.issued).total_seconds() / 86400
        share = min(1.0, max(0.0, certificate.days_left / whole)) if whole > 0 else 0.0
        left.append(element("span", element("span", style=f"width: {share:.0%}"), class_="bar"))
    return left
