"""Status: asks all sites of a stack at once."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from pydantic import AwareDatetime

from dcmesh.foreign.objects import Foreign
from dcmesh.model.facts import Fact, Problem, State, worst
from dcmesh.model.json_data import plain
from dcmesh.sites_in_outputs import DeployedSite
from dcmesh.status.certificates import Certificate, ask_authorities, root_problems
from dcmesh.status.databases import DatabaseServer, ask_server
from dcmesh.status.egress import EgressStatus, ask_egress
from dcmesh.status.exports import Export, ask_exports
from dcmesh.status.foreign import ask_foreign
from dcmesh.status.gateways import GatewayStatus, ask_gateway
from dcmesh.status.hosts import Host, ask_account

AT_ONCE = 16
"""How many questions a cluster is asked at the same time."""

F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, kw_only=True)
class SiteStatus:
    """A site.

    Attributes:
        name: its name.
        unreachable: why its cluster could not be asked; empty if it could.
        lost: whether the configuration says that it is gone: then it was not asked.
        without: the site of another stack that is gone according to the configuration; empty if none is.
        pending: the sites that it is to import from and that export nothing yet.
        facts: what was found.
    """

    name: str
    unreachable: str = ""
    lost: bool = False
    without: str = ""
    pending: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def own_problems(self) -> tuple[Problem, ...]:
        """What is wrong with it as a whole."""
        found = []
        if self.unreachable:
            found.append(Problem(state=State.UNKNOWN, text=f"{self.name}: cannot be asked: {self.unreachable}"))
        if self.lost:
            text = f"{self.name}: is not asked: failover.without names it. Remove that once {self.name} is back"
            found.append(Problem(state=State.WARNING, text=text))
        if self.without:
            text = f"{self.name}: goes on without {self.without}: remove failover.without once {self.without} is back"
            found.append(Problem(state=State.WARNING, text=text))
        for source in self.pending:
            text = f"{self.name}: imports from {source}, which exports nothing yet: run `pulumi up` here once it does"
            found.append(Problem(state=State.WARNING, text=text))
        return tuple(found)

    @property
    def state(self) -> State:
        """The worst of its own problems and those of its facts."""
        return worst([*(problem.state for problem in self.own_problems), *(fact.state for fact in self.facts)])

    def as_json(self) -> dict[str, Any]:
        """Return the site as plain data."""
        gateways = [gateway.as_json() for gateway in of_kind(GatewayStatus, self.facts)]
        return {
            "state": plain(self.state),
            "unreachable": self.unreachable,
            "lost": self.lost,
            "without": self.without,
            "pending": list(self.pending),
            "gateway": gateways[0] if gateways else None,
            "egressGateways": [gateway.as_json() for gateway in of_kind(EgressStatus, self.facts)],
            "certificates": [certificate.as_json() for certificate in of_kind(Certificate, self.facts)],
            "hosts": [host.as_json() for host in of_kind(Host, self.facts)],
            "databases": [server.as_json() for server in of_kind(DatabaseServer, self.facts)],
            "exports": [export.as_json() for export in of_kind(Export, self.facts)],
            "foreign": [foreign.as_json() for foreign in of_kind(Foreign, self.facts)],
        }


@dataclass(frozen=True, kw_only=True)
class Status:
    """A stack.

    Attributes:
        sites: its sites.
        asked: when they were asked.
        unreadable: why the stack itself could not be read; empty if it could.
    """

    sites: tuple[SiteStatus, ...] = ()
    asked: AwareDatetime | None = None
    unreadable: str = ""

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What was found in all sites."""
        return tuple(fact for site in self.sites for fact in site.facts)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, the worst first, and causes before what follows from them."""
        if self.unreadable:
            return (Problem(state=State.UNKNOWN, text=self.unreadable),)
        kinds: tuple[type[Fact], ...] = (
            Foreign,
            GatewayStatus,
            EgressStatus,
            Export,
            Certificate,
            Host,
            DatabaseServer,
        )
        found = [
            *(problem for site in self.sites for problem in site.own_problems),
            *root_problems(of_kind(Certificate, self.facts)),
            *(problem for kind in kinds for fact in of_kind(kind, self.facts) for problem in fact.problems),
        ]
        order = (State.CRITICAL, State.UNKNOWN, State.WARNING)
        return tuple(sorted(dict.fromkeys(found), key=lambda problem: order.index(problem.state)))

    @property
    def state(self) -> State:
        """The worst of all."""
        return worst(problem.state for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return the whole as plain data."""
        return {
            "state": plain(self.state),
            "asked": plain(self.asked),
            "problems": plain(self.problems),
            "sites": {site.name: site.as_json() for site in self.sites},
        }


def of_kind(kind: type[F], facts: Iterable[Fact]) -> list[F]:
    """Return the facts of one kind."""
    return [fact for fact in facts if isinstance(fact, kind)]


def ask_all(sites: Sequence[DeployedSite], max_lag: int) -> Status:
    """Ask all sites at once. One that cannot be reached does not keep the others from being asked."""
    asked = datetime.now(UTC).replace(microsecond=0)
    with ThreadPoolExecutor(len(sites)) as pool:
        return Status(sites=tuple(pool.map(lambda site: ask_site(site, max_lag), sites)), asked=asked)


def ask_site(site: DeployedSite, max_lag: int) -> SiteStatus:
    """Ask one site."""
    if site.lost:
        return SiteStatus(name=site.name, lost=True)
    found = SiteStatus(name=site.name, without=site.without, pending=site.pending)
    try:
        clients = site.reach()
    except ConnectionError as error:
        return replace(found, unreachable=str(error))
    questions: list[Callable[[], Iterable[Fact]]] = [
        *([partial(ask_gateway, clients, site.name, site.gateway)] if site.gateway else []),
        *(partial(ask_egress, clients, site.name, account) for account in site.egress_gateways),
        partial(ask_foreign, clients, site),
        partial(ask_exports, clients, site),
        partial(ask_authorities, clients, site.name, site.certificates),
        *(partial(ask_account, clients, site.name, *account) for account in site.accounts.items()),
        *(partial(ask_server, clients, site.name, server, max_lag) for server in site.servers),
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda question: question(), questions)
        return replace(found, facts=tuple(fact for answer in answers for fact in answer))
