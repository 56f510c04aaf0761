"""A status as `--json` prints it, read back: so that those who cannot ask the sites can draw them."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError

from dcmesh.foreign.objects import Foreign
from dcmesh.model.facts import State
from dcmesh.model.value_types import Name
from dcmesh.status.certificates import Certificate
from dcmesh.status.databases import DatabaseServer
from dcmesh.status.egress import EgressStatus
from dcmesh.status.exports import Export
from dcmesh.status.gateways import GatewayStatus
from dcmesh.status.hosts import Host
from dcmesh.status.sites import SiteStatus, Status


def _with_severity(foreign: Any) -> Any:  # noqa: ANN401 — whatever stands there
    """Return a foreign object with its severity as a state, which is printed as a word."""
    word = str(foreign.get("severity", "")).upper() if isinstance(foreign, dict) else ""
    return {**foreign, "severity": State[word]} if word in State.__members__ else foreign


@dataclass(frozen=True, kw_only=True)
class _Site:
    """A site as it is printed. The defaults are for what an older dcmesh does not print."""

    unreachable: str = ""
    lost: bool = False
    without: str = ""
    pending: tuple[str, ...] = ()
    exports: tuple[Export, ...] = ()
    gateway: GatewayStatus | None = None
    egress_gateways: tuple[EgressStatus, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    hosts: tuple[Host, ...] = ()
    databases: tuple[DatabaseServer, ...] = ()
    foreign: tuple[Annotated[Foreign, BeforeValidator(_with_severity)], ...] = ()

    def named(self, name: str) -> SiteStatus:
        """Return the site with its name."""
        gateways = (self.gateway,) if self.gateway else ()
        return SiteStatus(
            name=name,
            unreachable=self.unreachable,
            lost=self.lost,
            without=self.without,
            pending=self.pending,
            facts=(
                *gateways,
                *self.egress_gateways,
                *self.foreign,
                *self.exports,
                *self.certificates,
                *self.hosts,
                *self.databases,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """Why no site could be asked."""

    text: str


@dataclass(frozen=True, kw_only=True)
class _Printed:
    """The whole. Its states follow from the rest, and its problems too, unless there is no site."""

    sites: dict[Name, _Site]
    asked: AwareDatetime | None = None
    problems: tuple[_Problem, ...] = ()


_PRINTED = TypeAdapter(_Printed)


def read_status(file: str) -> Status:
    """Return the status that `status --json` has printed to a file; `-` is standard input.

    What cannot be read is a status that says why.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        data = json.loads(text, object_pairs_hook=_in_snake_case, parse_constant=_refuse)
        printed = _PRINTED.validate_python(data)
    except OSError as error:
        reason = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"is not what `status --json` prints: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError):
        reason = "is not JSON"
    else:
        if printed.sites:
            sites = tuple(site.named(name) for name, site in printed.sites.items())
            return Status(sites=sites, asked=printed.asked)
        reason = f"tells of no site: {printed.problems[0].text}" if printed.problems else "tells of no site"
    return Status(unreadable=f"{file}: {reason}")


def _in_snake_case(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object with the names that the fields have here. Names of sites have no capital letters."""
    return {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value for key, value in pairs}


def _refuse(word: str) -> None:
    """Refuse `NaN` and its like, which Python takes for JSON."""
    raise ValueError(word)
