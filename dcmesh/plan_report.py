"""The plan of a stack, by its configuration and what its peers export now: `python -m dcmesh plan`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime import set_all_config
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcmesh import config
from dcmesh.config import stack_config
from dcmesh.model.facts import State
from dcmesh.model.json_data import plain
from dcmesh.model.link import ExportedService
from dcmesh.model.plan import DatabasePlan, GatewayPlan, PasswordOrigin, Plan, plan_of
from dcmesh.pulumi_cli import PulumiError, pulumi, read_state
from dcmesh.screen import captured, empty_table, short
from dcmesh.stacks import NoStackError

NOT_YET = "its Service's address"
"""The word for an address that only a cluster knows; `status` shows it."""


@dataclass(frozen=True, kw_only=True)
class PlanReport:
    """The plan of a stack, or why it has none.

    Attributes:
        plan: the plan.
        unreadable: why there is none; empty if there is one.
    """

    plan: Plan | None = None
    unreadable: str = ""

    @property
    def state(self) -> State:
        """Whether there is one."""
        return State.OK if self.plan else State.UNKNOWN

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        problem = [{"state": plain(self.state), "text": self.unreadable}] if self.unreadable else []
        return {"state": plain(self.state), "problems": problem, **(plain(self.plan) if self.plan else {})}


def read_plan(stack: str | None) -> PlanReport:
    """Work out the plan of a stack, as the next `up` would.

    Args:
        stack: its name. Default: the one that is selected.
    """
    chosen = ("--stack", stack) if stack else ()
    try:
        project = str(yaml.safe_load(Path("Pulumi.yaml").read_text())["name"])
        name = read_state(lambda: pulumi("stack", "--show-name", *chosen)).strip()
        written = json.loads(read_state(lambda: pulumi("config", "--json", "--show-secrets", *chosen)))
    except OSError:
        return PlanReport(unreadable="there is no Pulumi.yaml here: run it in the project's directory")
    except PulumiError as error:
        return PlanReport(unreadable=str(error))
    # As in a run of the program, so that no error shows a secret.
    secret = [key for key, entry in written.items() if entry["secret"]]
    set_all_config({key: entry["value"] for key, entry in written.items()}, secret)
    try:
        settings, links = config.parse(
            stack_config.values(project),
            project=project,
            stack=name,
            read=lambda other: _outputs(project, other),
            asks_clusters=False,
        )
    except config.ConfigError as error:
        return PlanReport(unreadable=str(error))
    return PlanReport(plan=plan_of(settings, links))


def _outputs(project: str, stack: str) -> Mapping[str, Any]:
    """Return the outputs of a stack, without its secrets.

    Raises:
        NoStackError: there is no such stack.
        LookupError: its state cannot be read.
    """
    # The CLI adds the organization, which is not known here.
    name = stack.removeprefix(f"organization/{project}/")
    try:
        found: Mapping[str, Any] = json.loads(read_state(lambda: pulumi("stack", "output", "--json", "--stack", name)))
    except PulumiError as error:
        if "no stack named" in str(error):
            raise NoStackError(f"unknown stack {stack!r}") from None
        raise
    return found


# --- on one screen ---------------------------------------------------------------------------------------------------


def text(report: PlanReport) -> str:
    """Return what standard output is to show."""
    return captured(lambda out: _show(report, out))


def _show(report: PlanReport, out: Console) -> None:
    if not report.plan:
        for line in f"UNKNOWN: {report.unreadable}".splitlines():
            out.print(Text(line), soft_wrap=True)
        return
    tables = list(_tables(report.plan))
    if not tables:
        out.print("The stack joins no sites.")
    for index, (title, table) in enumerate(tables):
        if index:
            out.print()
        out.print(Text(title, "bold"))
        out.print(table)


def _tables(plan: Plan) -> Iterator[tuple[str, Table]]:
    databases = [database for site in plan.sites for database in site.databases]
    if databases:
        yield "Databases", _databases(databases)
    if any(site.gateway for site in plan.sites):
        table = empty_table(short("site"), "importers are told", "exports")
        for site in plan.sites:
            if site.gateway:
                exports = " ".join(map(_exported, site.exports))
                table.add_row(site.name, _reached(site.gateway), exports)
        yield "Gateways", table
    if any(site.imports for site in plan.sites):
        yield "Hosts", _hosts(plan)


def _exported(export: ExportedService) -> str:
    """Return an export's name, and that the gateway ends TLS for it if it does."""
    return f"{export.name} (TLS ends here)" if export.termination == "gateway" else export.name


def _databases(databases: list[DatabasePlan]) -> Table:
    table = empty_table(
        short("site"), short("database"), short("role"), short("sidecar"), "follows", "password", "changes roles with"
    )
    for database in databases:
        follows = f"{database.source_site} {database.servers[0].follows[0]}" if database.role == "replica" else ""
        if database.pending:
            follows = f"pending: {database.source_site} does not export it yet"
        table.add_row(
            database.site,
            f"{database.namespace}/{database.name}",
            database.role,
            "yes" if database.sidecar else "no",
            follows,
            _from(database.password),
            _partner(database),
        )
    return table


def _partner(database: DatabasePlan) -> str:
    """Return the database with which a database can change roles; if another stack has it, just the site."""
    if database.partner:
        return f"{database.partner.site} {database.partner.namespace}"
    return database.source_site or "" if database.switchover else ""


def _from(password: PasswordOrigin | None) -> str:
    """Return in words where a password comes from."""
    match password:
        case None:
            return "?"
        case PasswordOrigin(how="told", site=peer, of=export):
            return f"{peer}'s stack tells that of {export}"
        case PasswordOrigin(how=how, site=site, of=namespace):
            return f"{how} for {site} {namespace}"


def _hosts(plan: Plan) -> Table:
    table = empty_table(
        short("site"), "consumer", short("from"), "host", short("port", "right"), "by gateway", "here at"
    )
    for site in plan.sites:
        for of in site.imports:
            consumer = f"{of.namespace}/{of.service_account}"
            if of.export is None:
                table.add_row(
                    site.name, consumer, of.source, f"pending: {of.source} does not export {of.name} yet", "?", "?", "?"
                )
                continue
            for host, port in product(of.export.hosts, of.export.port_numbers):
                here = f"egress gateway, port {of.egress.ports[host, port]}" if of.egress else of.vips[host]
                table.add_row(site.name, consumer, of.source, host, str(port), _reached(of.gateway), here)
    return table


def _reached(gateway: GatewayPlan | None) -> str:
    """Return the addresses of a gateway, each with its port."""
    if gateway is None or not gateway.addresses:
        return f"{NOT_YET}, port {gateway.port}" if gateway else "?"
    return " ".join(f"{address}:{gateway.port}" for address in gateway.addresses)
