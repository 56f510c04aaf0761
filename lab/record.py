"""The record of a lab: its place in the address plan, its sites, who may reach whom, and how the WAN is impaired."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lab import paths
from lab.errors import LabError


class Wan(StrEnum):
    """How the WAN treats traffic between sites."""

    UP = "up"
    """Passes what is permitted."""
    DROP = "drop"
    """Loses every packet, as a cut line does."""
    RESET = "reset"
    """Answers every TCP packet with a reset, as a firewall does that lost its state."""


@dataclass(frozen=True)
class SiteRecord:
    """One site's place and its consumers.

    Attributes:
        subnet: 1..15, the site's subnet within the lab.
        reachable_from: the sites that may reach this one's gateway. They need not exist.
    """

    subnet: int
    reachable_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabRecord:
    """One lab.

    Attributes:
        index: 0..15, the lab's place in the address plan; no two labs share it.
        delay: milliseconds that the WAN adds to a round trip.
        loss: share of the packets, 0..1, that the WAN loses in each direction.
    """

    index: int
    sites: dict[str, SiteRecord] = field(default_factory=dict)
    wan: Wan = Wan.UP
    delay: float = 0
    loss: float = 0

    @property
    def impaired(self) -> bool:
        """Whether the WAN delays or loses packets."""
        return bool(self.delay or self.loss)

    def with_site(self, name: str, reachable_from: tuple[str, ...]) -> "LabRecord":
        """Return the record with a site in it.

        A site that is recorded already keeps its subnet. A new one gets the subnet with the number at the end of its
        name, so that dc1 has the same addresses each time. Without such a number it gets the first free one.

        Raises:
            LabError: the lab has 15 other sites.
        """
        subnet = self.sites[name].subnet if name in self.sites else self._free_subnet(name)
        return dataclasses.replace(self, sites={**self.sites, name: SiteRecord(subnet, reachable_from)})

    def _free_subnet(self, name: str) -> int:
        taken = {site.subnet for site in self.sites.values()}
        number = re.search(r"\d+$", name)
        wanted = int(number[0]) if number else 1
        free = [subnet for subnet in range(1, 16) if subnet not in taken]
        if not free:
            raise LabError("a lab holds 15 sites at most")
        return wanted if wanted in free else free[0]

    def without_site(self, name: str) -> "LabRecord":
        """Return the record without a site."""
        return dataclasses.replace(self, sites={n: site for n, site in self.sites.items() if n != name})


def load(lab: str) -> LabRecord | None:
    """Return a lab's record, None if the lab does not exist."""
    try:
        data = json.loads(_file(lab).read_text())
    except FileNotFoundError:
        return None
    sites = {name: SiteRecord(s["subnet"], tuple(s["reachable_from"])) for name, s in data["sites"].items()}
    return LabRecord(data["index"], sites, Wan(data["wan"]), data.get("delay", 0), data.get("loss", 0))


def save(lab: str, record: LabRecord) -> None:
    """Write a lab's record, completely or not at all."""
    file = _file(lab)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n")
    new.rename(file)


def remove(lab: str) -> None:
    """Forget a lab."""
    _file(lab).unlink(missing_ok=True)


def labs() -> dict[str, LabRecord]:
    """Return every lab of this machine."""
    found = ((file.parent.name, load(file.parent.name)) for file in sorted(paths.STATE.glob("*/lab.json")))
    return {name: record for name, record in found if record is not None}


def _file(lab: str) -> Path:
    return paths.LabPaths(lab).state / "lab.json"
